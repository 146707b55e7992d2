//! What the world is told: a banner at the start, the file with our process id, the service manager's datagram,
//! warnings about the system, and the facts of a crash report.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::choice::{LogFormat, Supervised};
use crate::config::{Config, Place, Sources};
use crate::observe::crash;
use crate::observe::keys;
use crate::observe::log::Logger;
use crate::observe::metrics::Metrics;
use crate::persist;
use crate::sys::disk::RealDisk;
use crate::sys::{fault, files, process, sockets, supervisor};

/// Where Redis puts the process id when somebody must find it and nobody said where.
const PIDFILE_DEFAULT: &str = "/var/run/redis.pid";

/// The banner, or the same in one line. Tools that start servers look for ` PID: <number>` and for `port=`.
pub(super) fn greet(config: &Config, log: &Logger) {
    let to_terminal = config.observability.logfile.is_empty() && std::io::stdout().is_terminal();
    let plain = config.observability.log_format == LogFormat::Line;
    if plain && (config.server.always_show_logo || to_terminal) {
        log.raw(&banner(config));
    }
    log.notice("Running mode=standalone", &[(keys::PORT, &config.server.port)]);
}

fn banner(config: &Config) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let speaks = config.server.redis_version.to_lossy();
    let (port, pid) = (config.server.port, process::pid());
    format!(
        "\n    ____________\n   /  key  ____/|     kvstash {version} (speaks Redis {speaks})\n  \
         /___.___/___/ |\n  |  value   |  |     Running in standalone mode\n  |    ____  |  |     Port: {port}\n  \
         |   |____| |  /      PID: {pid}\n  |__________|/\n\n"
    )
}

/// Settings of the system that make less of ours.
pub(super) fn warn_of_system(config: &Config, log: &Logger) {
    let backlog = config.server.tcp_backlog;
    if let Some(most) = sockets::somaxconn().filter(|most| *most < backlog) {
        let text = format!(
            "WARNING: The TCP backlog setting of {backlog} cannot be enforced because \
             /proc/sys/net/core/somaxconn is set to the lower value of {most}."
        );
        log.log(crate::observe::log::Level::Warning, &text, &[]);
    }
}

/// Removes what killed processes left of their saves in the working directory.
pub(super) fn remove_leftovers(log: &Logger) {
    for name in persist::remove_stale_temps(&RealDisk, Path::new(""), process::pid(), process::is_alive) {
        log.notice("Removed what a killed process left of a save", &[(keys::PATH, &name)]);
    }
}

/// Where the process id is to be written.
fn pidfile(config: &Config) -> Option<PathBuf> {
    let server = &config.server;
    let asked = server.daemonize || server.supervised != Supervised::No;
    match server.pidfile.is_empty() {
        false => Some(server.pidfile.as_path().to_owned()),
        true => asked.then(|| PathBuf::from(PIDFILE_DEFAULT)),
    }
}

/// Writes the file for whoever wants to signal us. Redis, too, serves without it.
pub(super) fn write_pidfile(config: &Config, sources: &Sources, log: &Logger) {
    let Some(path) = pidfile(config) else { return };
    if let Err(error) = files::write(&path, format!("{}\n", process::pid()).as_bytes()) {
        let (path, error) = (path.display().to_string(), error.to_string());
        let place = sources.place_of("pidfile").map_or_else(|| "default".to_owned(), Place::to_string);
        log.warning(
            "Failed to write PID file",
            &[(keys::PATH, &path), (keys::ERROR, &error), (keys::CONFIGURED_AT, &place)],
        );
    }
}

/// Removes it, unless another process has written its own there meanwhile.
pub(super) fn remove_pidfile(config: &Config, log: &Logger) {
    let Some(path) = pidfile(config) else { return };
    let ours =
        |path: &Path| files::read(path).is_ok_and(|text| text.trim_ascii() == process::pid().to_string().as_bytes());
    if ours(&path) {
        log.notice("Removing the pid file.", &[]);
        let _ = std::fs::remove_file(path); // gone already is as good
    }
}

/// Something the service manager waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Milestone {
    /// The data set is being loaded.
    Loading,
    /// Clients may come.
    Ready,
    /// The end has begun.
    Stopping,
}

/// Tells systemd, when `supervised` wants it told and it has said where.
pub(super) fn notify(config: &Config, log: &Logger, milestone: Milestone) {
    let wanted = matches!(config.server.supervised, Supervised::Systemd | Supervised::Auto);
    let text = match milestone {
        Milestone::Loading => "STATUS=Loading the data set\n",
        Milestone::Ready => "STATUS=Ready to accept connections\nREADY=1\n",
        Milestone::Stopping => "STATUS=Saving and exiting\nSTOPPING=1\n",
    };
    if !wanted {
        return;
    }
    match supervisor::notify(text) {
        Ok(true) => {}
        Ok(false) if config.server.supervised == Supervised::Auto || milestone != Milestone::Ready => {}
        Ok(false) => log.warning("systemd supervision requested, but NOTIFY_SOCKET is not set", &[]),
        Err(error) => log.warning("Can't tell systemd", &[(keys::ERROR, &error.to_string())]),
    }
}

/// From now on a panic or a fatal signal leaves a report in the log.
pub(super) fn report_crashes(log: &Logger, metrics: &Arc<Metrics>) -> std::io::Result<()> {
    let (for_panics, for_signals) = (Arc::clone(metrics), Arc::clone(metrics));
    crash::report_panics(log.clone(), move || facts(&for_panics));
    let (log, log_at_last) = (log.clone(), log.clone());
    let report = move |fault: fault::Fault| {
        let cause = match fault.out_of_memory {
            Some(bytes) => crash::Cause::OutOfMemory(bytes),
            None => crash::Cause::Signal(fault.signal, fault.address),
        };
        crash::report_end(&|text| fault::write(log.descriptor(), text.as_bytes()), cause, || facts(&for_signals));
    };
    let cut_short = move || crash::cut_short(&|text| fault::write(log_at_last.descriptor(), text.as_bytes()));
    fault::on_fatal(report, cut_short)
}

/// What is known without taking a lock that the crash may have left taken.
fn facts(metrics: &Metrics) -> String {
    let mut lines = vec![
        format!("kvstash_version:{}", env!("CARGO_PKG_VERSION")),
        format!("os:{}", process::os()),
        format!("process_id:{}", process::pid()),
        format!("executable:{}", process::executable()),
        format!("uptime_in_seconds:{}", metrics.uptime_seconds()),
    ];
    let rows = metrics.rows();
    lines.extend(rows.iter().filter(|row| !row.info.is_empty()).map(|row| format!("{}:{}", row.info, row.value)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Text;

    #[test]
    fn the_pid_file_is_written_where_asked_and_only_ours_is_removed() {
        let path = std::env::temp_dir().join(format!("kvstash-pid-{}", process::pid()));
        let log = Logger::silent();
        let mut config = Config::default();
        assert_eq!(pidfile(&config), None);
        config.server.supervised = Supervised::Systemd;
        assert_eq!(pidfile(&config), Some(PathBuf::from(PIDFILE_DEFAULT)));
        config.server.pidfile = Text::from(path.to_str().expect("a path of ours"));
        let loaded = crate::config::load(&crate::config::argv::split(&[]), [], || Ok(Vec::new())).unwrap();
        let write = |config: &Config| write_pidfile(config, &loaded.sources, &log);
        write(&config);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", process::pid()));
        std::fs::write(&path, "1\n").unwrap();
        remove_pidfile(&config, &log);
        assert!(path.exists(), "another process's file stays");
        write(&config);
        remove_pidfile(&config, &log);
        assert!(!path.exists());
    }

    #[test]
    fn the_banner_has_what_tools_look_for() {
        let banner = banner(&Config::default());
        assert!(banner.contains(&format!(" PID: {}\n", process::pid())), "{banner}");
    }
}
