//! The group `server`: listening, connections, identity, authentication, the process itself.

use super::{I32, group};
use crate::config::choice::{AclPubsubDefault, Allowed, OomScoreAdj, ShutdownOptions, Supervised, TlsAuthClients};
use crate::config::names;
use crate::config::row::{Apply, Needs, Spec};
use crate::config::special::{BindAddresses, OomScores};
use crate::config::value::Text;

const NO_FORK: &str = "no child process is ever made";
const ONE_THREAD: &str = "commands run on one thread, and sockets are read and written on it";
const FOREGROUND: &str = "the server stays in the foreground: a service manager starts it and keeps track of it";

/// `{name}` stands for something, `{{` for a brace. What is left must be more than blanks.
fn title_template(text: &[u8]) -> Result<(), String> {
    const KNOWN: [&[u8]; 7] =
        [b"title", b"listen-addr", b"server-mode", b"port", b"tls-port", b"unixsocket", b"config-file"];
    let wrong = || "template format is invalid or contains unknown variables".to_owned();
    let mut rest = text;
    while let Some(open) = memchr::memchr(b'{', rest) {
        rest = &rest[open + 1..];
        if let Some(after) = rest.strip_prefix(b"{") {
            rest = after;
            continue;
        }
        let close = memchr::memchr(b'}', rest).ok_or_else(wrong)?;
        if !KNOWN.contains(&&rest[..close]) {
            return Err(wrong());
        }
        rest = &rest[close + 1..];
    }
    if text.iter().all(|&b| b == b' ') { Err(wrong()) } else { Ok(()) }
}

fn locale(text: &[u8]) -> Result<(), String> {
    match text {
        b"" | b"C" | b"POSIX" | b"C.UTF-8" | b"C.utf8" => Ok(()),
        _ => Err("Invalid locale name".to_owned()),
    }
}

group! {
    /// Listening, connections, identity, authentication, the process itself.
    Server in server of Server {
        /// Addresses to listen on. `*` is every IPv4 address, `::*` every IPv6 one; a leading `-` makes an address
        /// optional; an empty list listens on no TCP address.
        bind: BindAddresses = BindAddresses(vec![Text::from("*"), Text::from("-::*")])
            => Spec::special("bind", "up to 16 addresses").multi().apply(Apply::Listeners).protects();

        /// The TCP port. 0 listens on no TCP port.
        port: u16 = 6379 => Spec::int("port", 0, 65535).apply(Apply::Listeners).protects();

        /// The address that the connection to the primary comes from; any, if that one is not to be had.
        bind_source_addr: Text = Text::default() => Spec::text("bind-source-addr");

        /// A path to listen on as a Unix socket.
        unixsocket: Text = Text::default() => Spec::checked_text("unixsocket", names::socket).at_start().protects();

        /// Permissions of the Unix socket, in octal. 0 leaves them to the umask.
        unixsocketperm: u32 = 0 => Spec::octal("unixsocketperm", 0o777).at_start().protects();

        /// How many connections may wait to be accepted. The kernel's somaxconn caps it.
        tcp_backlog: u32 = 511 => Spec::int("tcp-backlog", 0, I32).at_start();

        /// Microseconds for which the main loop looks for more requests before it sleeps. It does while requests follow
        /// each other so closely that this pays, and never for more than half of the time that the last ones took.
        /// Sleeping costs whoever has to wake the loop. 0 always sleeps at once.
        busy_poll_us: u32 = 6 => Spec::int("busy-poll-us", 0, 1000);

        /// Close a connection after so many seconds without a command. 0 never does.
        timeout: u32 = 0 => Spec::int("timeout", 0, I32);

        /// Seconds between probes on silent connections. 0 sends none.
        tcp_keepalive: u32 = 300 => Spec::int("tcp-keepalive", 0, I32);

        /// Refuse clients from other machines while the default user has no password and no address was chosen.
        protected_mode: bool = true => Spec::bool("protected-mode").protects_by_default();

        /// Mark the listening sockets for the kernel's packet filter.
        socket_mark_id: u32 = 0
            => Spec::unsigned("socket-mark-id", 0, u32::MAX as u64).at_start()
                .no_effect("sockets are not marked on Linux");

        /// The password of the default user. Empty: none is asked for.
        requirepass: Text = Text::default() => Spec::text("requirepass").secret().apply(Apply::Password).protects();

        /// A file with ACL users.
        aclfile: Text = Text::default() => Spec::file("aclfile").at_start().refused(Needs::Acl).protects();

        /// How many refused commands ACL LOG remembers.
        acllog_max_len: u64 = 128 => Spec::int("acllog-max-len", 0, super::I64).waits(Needs::Acl);

        /// The channels that a new ACL user may use.
        acl_pubsub_default: AclPubsubDefault = AclPubsubDefault::Resetchannels
            => Spec::choice("acl-pubsub-default", AclPubsubDefault::WORDS).waits(Needs::Acl).protects_by_default();

        /// Whether DEBUG may be called.
        enable_debug_command: Allowed = Allowed::No => Spec::choice("enable-debug-command", Allowed::WORDS).at_start().protects_by_default();

        /// Whether MODULE may be called.
        enable_module_command: Allowed = Allowed::No
            => Spec::choice("enable-module-command", Allowed::WORDS).at_start().no_effect("there are no modules").protects_by_default();

        /// Whether CONFIG SET may change protected parameters: dir and dbfilename.
        enable_protected_configs: Allowed = Allowed::No
            => Spec::choice("enable-protected-configs", Allowed::WORDS).at_start().protects_by_default();

        /// Whether a reload (SIGHUP) may give up a protection because no line sets it any more: a password, addresses,
        /// limits and what else is marked *protects*. Otherwise the value stays, and the log says so. What a line says
        /// is always followed.
        reload_may_unprotect: bool = false => Spec::bool("reload-may-unprotect").protects_by_default();

        /// How often a second the background work runs: expiry, closing of idle clients, statistics.
        hz: u32 = 10 => Spec::int("hz", 0, I32).clamped(1, 500).apply(Apply::Hz);

        /// Run the background work more often while many clients are connected.
        dynamic_hz: bool = true => Spec::bool("dynamic-hz").no_effect("the background work does not grow with the number of clients");

        /// How long a shutdown waits for replicas, in seconds.
        shutdown_timeout: u32 = 10 => Spec::int("shutdown-timeout", 0, I32);

        /// What SIGINT does.
        shutdown_on_sigint: ShutdownOptions = ShutdownOptions::default()
            => Spec::choices("shutdown-on-sigint", ShutdownOptions::WORDS);

        /// What SIGTERM does.
        shutdown_on_sigterm: ShutdownOptions = ShutdownOptions::default()
            => Spec::choices("shutdown-on-sigterm", ShutdownOptions::WORDS);

        /// The redis_version that INFO and HELLO give. Clients choose what to use by it.
        redis_version: Text = Text::from("7.4.2") => Spec::checked_text("redis-version", dotted_version).apply(Apply::Identity);

        /// Log a banner at start even when the log is not a terminal.
        always_show_logo: bool = false => Spec::bool("always-show-logo").at_start();

        /// Show addresses and mode in the title of the process.
        set_proc_title: bool = true
            => Spec::bool("set-proc-title").at_start().no_effect("the command line is left as it was given");

        /// The title of the process.
        proc_title_template: Text = Text::from("{title} {listen-addr} {server-mode}")
            => Spec::checked_text("proc-title-template", title_template)
                .no_effect("the command line is left as it was given");

        /// Go to the background.
        daemonize: bool = false => Spec::bool("daemonize").at_start().no_effect(FOREGROUND);

        /// The service manager to report to. `systemd` is told when the data set is loaded and clients may come; `auto`
        /// tells it if it has asked to be told; `upstart` is told nothing.
        supervised: Supervised = Supervised::No => Spec::choice("supervised", Supervised::WORDS).at_start();

        /// A file for the process id.
        pidfile: Text = Text::default() => Spec::file("pidfile").at_start();

        /// The locale whose order SORT ALPHA uses. Empty: the environment's, which is always the order of bytes here.
        locale_collate: Text = Text::default()
            => Spec::checked_text("locale-collate", locale).no_effect("text is compared by its bytes");

        /// Warnings at start that are not to be given.
        ignore_warnings: Text = Text::default()
            => Spec::text("ignore-warnings").no_effect("the defect it is about needs fork");

        /// Set the score that the kernel's out-of-memory killer goes by.
        oom_score_adj: OomScoreAdj = OomScoreAdj::No
            => Spec::choice("oom-score-adj", OomScoreAdj::WORDS).apply(Apply::OomScore);

        /// The scores of a primary, of a replica, of a child process (the last is never used).
        oom_score_adj_values: OomScores = OomScores([0, 200, 800])
            => Spec::special("oom-score-adj-values", "three scores from -2000 to 2000").multi().apply(Apply::OomScore);

        /// Ask the kernel for no transparent huge pages.
        disable_thp: bool = true
            => Spec::bool("disable-thp").at_start()
                .no_effect("huge pages hurt Redis because fork copies them; nothing is forked here");

        /// Threads for sockets.
        io_threads: u32 = 1 => Spec::int("io-threads", 1, 128).at_start().no_effect(ONE_THREAD);

        /// Read on those threads too.
        io_threads_do_reads: bool = false
            => Spec::bool("io-threads-do-reads").at_start().hidden().no_effect(ONE_THREAD);

        /// How many keys a batch of commands prefetches.
        prefetch_batch_max_size: u32 = 16
            => Spec::int("prefetch-batch-max-size", 0, 128).hidden()
                .no_effect("every turn prefetches the keys of all its commands");

        /// Processors for the main thread.
        server_cpulist: Text = Text::default()
            => Spec::text("server-cpulist").alias(&["server_cpulist"]).at_start().no_effect("use taskset or cgroups");

        /// Processors for background threads.
        bio_cpulist: Text = Text::default()
            => Spec::text("bio-cpulist").alias(&["bio_cpulist"]).at_start().no_effect("use taskset or cgroups");

        /// Processors for the child that rewrites the append-only file.
        aof_rewrite_cpulist: Text = Text::default()
            => Spec::text("aof-rewrite-cpulist").alias(&["aof_rewrite_cpulist"]).at_start().no_effect(NO_FORK);

        /// Processors for the child that saves.
        bgsave_cpulist: Text = Text::default()
            => Spec::text("bgsave-cpulist").alias(&["bgsave_cpulist"]).at_start().no_effect(NO_FORK);

        /// Exit instead of aborting after an assertion failed.
        use_exit_on_panic: bool = false
            => Spec::bool("use-exit-on-panic").hidden().no_effect("a failed assertion always aborts");

        /// Keep old functions that scripts may use.
        lua_enable_deprecated_api: bool = false
            => Spec::bool("lua-enable-deprecated-api")
                .at_start()
                .hidden()
                .no_effect("what it keeps (getfenv, setfenv, newproxy) leads out of the sandbox");

        /// Run the commands of the vector set on the main thread.
        vset_force_single_threaded_execution: bool = false
            => Spec::bool("vset-force-single-threaded-execution").no_effect(ONE_THREAD);

        /// The TLS port. 0 listens on none.
        tls_port: u16 = 0 => Spec::int("tls-port", 0, 65535).refused(Needs::Tls).protects();

        /// The certificate.
        tls_cert_file: Text = Text::default() => Spec::file("tls-cert-file").waits(Needs::Tls).protects();

        /// Its key.
        tls_key_file: Text = Text::default() => Spec::file("tls-key-file").waits(Needs::Tls).protects();

        /// The key's password.
        tls_key_file_pass: Text = Text::default() => Spec::text("tls-key-file-pass").secret().waits(Needs::Tls).protects();

        /// The certificate for outgoing connections, if it is another.
        tls_client_cert_file: Text = Text::default() => Spec::file("tls-client-cert-file").waits(Needs::Tls);

        /// Its key.
        tls_client_key_file: Text = Text::default() => Spec::file("tls-client-key-file").waits(Needs::Tls);

        /// That key's password.
        tls_client_key_file_pass: Text = Text::default()
            => Spec::text("tls-client-key-file-pass").secret().waits(Needs::Tls);

        /// Diffie-Hellman parameters.
        tls_dh_params_file: Text = Text::default() => Spec::file("tls-dh-params-file").waits(Needs::Tls);

        /// A file with the authorities that clients' certificates must come from.
        tls_ca_cert_file: Text = Text::default() => Spec::file("tls-ca-cert-file").waits(Needs::Tls).protects();

        /// A directory with such authorities.
        tls_ca_cert_dir: Text = Text::default() => Spec::checked_text("tls-ca-cert-dir", names::directory).waits(Needs::Tls).protects();

        /// Whether clients must show a certificate.
        tls_auth_clients: TlsAuthClients = TlsAuthClients::Yes
            => Spec::choice("tls-auth-clients", TlsAuthClients::WORDS).waits(Needs::Tls).protects_by_default();

        /// TLS for links to the primary and from replicas.
        tls_replication: bool = false => Spec::bool("tls-replication").waits(Needs::Tls).protects();

        /// TLS for the cluster bus.
        tls_cluster: bool = false => Spec::bool("tls-cluster").waits(Needs::Tls).protects();

        /// The versions of TLS.
        tls_protocols: Text = Text::default() => Spec::text("tls-protocols").waits(Needs::Tls).protects();

        /// Ciphers up to TLS 1.2.
        tls_ciphers: Text = Text::default() => Spec::text("tls-ciphers").waits(Needs::Tls).protects();

        /// Ciphers of TLS 1.3.
        tls_ciphersuites: Text = Text::default() => Spec::text("tls-ciphersuites").waits(Needs::Tls).protects();

        /// The server chooses the cipher.
        tls_prefer_server_ciphers: bool = false => Spec::bool("tls-prefer-server-ciphers").waits(Needs::Tls).protects();

        /// Let clients resume sessions.
        tls_session_caching: bool = true => Spec::bool("tls-session-caching").waits(Needs::Tls);

        /// How many sessions are remembered.
        tls_session_cache_size: u32 = 20480 => Spec::int("tls-session-cache-size", 0, I32).waits(Needs::Tls);

        /// For how many seconds.
        tls_session_cache_timeout: u32 = 300 => Spec::int("tls-session-cache-timeout", 0, I32).waits(Needs::Tls);
    }
}

fn dotted_version(text: &[u8]) -> Result<(), String> {
    let parts: Vec<_> = text.split(|&b| b == b'.').collect();
    let numeric = |part: &&[u8]| !part.is_empty() && part.len() <= 3 && part.iter().all(u8::is_ascii_digit);
    if parts.len() == 3 && parts.iter().all(numeric) {
        Ok(())
    } else {
        Err("argument must be a version of three numbers, like 7.4.2".to_owned())
    }
}
