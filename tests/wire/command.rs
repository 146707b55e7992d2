//! COMMAND and its subcommands. The facts themselves are compared by tests/parity.

use crate::support::{Proto, Server, Value, each_proto};

#[test]
fn count_list_info() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let count = kv.int("COMMAND COUNT");
        assert!(count >= 78, "{count} commands");
        assert_eq!(kv.line("COMMAND").items().len() as i64, count);
        assert_eq!(kv.line("COMMAND INFO").items().len() as i64, count);
        let list = kv.line("COMMAND LIST").sorted();
        assert!(list.len() as i64 >= count, "subcommands are listed too");
        for name in ["get", "set", "config", "multi"] {
            assert!(list.iter().any(|n| n == name), "{name}");
        }
        kv.talk(
            r#"
            COMMAND LIST FILTERBY PATTERN getr* => ["getrange"]
            COMMAND LIST FILTERBY PATTERN nosuch* => []
            COMMAND LIST FILTERBY ACLCAT nosuch => []
            COMMAND LIST FILTERBY MODULE nosuch => []
            COMMAND LIST FILTERBY PATTERN "config|re*" => sorted ["config|resetstat" "config|rewrite"]
            COMMAND LIST FILTERBY BAD x => (error) ERR syntax error
            COMMAND LIST BAD           => (error) ERR syntax error
            COMMAND COUNT x            => (error) ERR wrong number of arguments for 'command|count' command
            COMMAND BAD                => (error) ERR unknown subcommand 'BAD'. Try COMMAND HELP.
            @redis>=8 COMMAND INFO nosuch => [(nil)]
            COMMAND HELP               =~ [*COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:*
            "#,
        );
        let string = kv.line("COMMAND LIST FILTERBY ACLCAT string").sorted();
        assert!(string.iter().any(|n| n == "append") && !string.iter().any(|n| n == "del"), "{string:?}");

        let reply = kv.line("COMMAND INFO get NOSUCH SET config|get");
        let [get, none, set, config_get] = reply.items() else { panic!("{}", reply.text()) };
        assert!(matches!(none, Value::Null | Value::NullArray));
        assert_eq!(set.items()[0].string(), "set");
        assert_eq!(config_get.items()[0].string(), "config|get");
        let fields = get.items();
        assert_eq!(fields.len(), 10);
        assert_eq!(fields[0].text(), "\"get\"");
        let flags = ["readonly", "fast"];
        assert_eq!(fields[2].sorted(), {
            let mut f = flags.map(String::from);
            f.sort();
            f
        });
        assert_eq!([&fields[1], &fields[3], &fields[4], &fields[5]].map(Value::int), [2, 1, 1, 1]);
        assert_eq!(fields[6].sorted(), ["@fast", "@read", "@string"]);
        assert_eq!(matches!(fields[2], Value::Set(_)), kv.proto == Proto::Resp3);
        // One key specification: RO access, at index 1, a range of one.
        let spec = &fields[8].items()[0];
        assert_eq!(spec.field("flags").sorted(), ["RO", "access"]);
        assert_eq!(spec.field("begin_search").field("type").string(), "index");
        assert_eq!(spec.field("begin_search").field("spec").field("index").int(), 1);
        assert_eq!(spec.field("find_keys").field("type").string(), "range");
        // Redis says that there are none with an empty set; those that there are come in an array.
        if kv.proto == Proto::Resp3 && kv.peer.satisfies("redis>=8") {
            assert_eq!(fields[9].text(), "#[]");
        }
        // Subcommands are commands of their own.
        let config = kv.line("COMMAND INFO config");
        let subcommands = config.items()[0].items()[9].items().to_vec();
        assert!(subcommands.iter().any(|s| s.items()[0].string() == "config|set"));
    });
}

#[test]
fn docs() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let reply = kv.line("COMMAND DOCS get SET nosuch");
        assert_eq!(matches!(reply, Value::Map(_)), kv.proto == Proto::Resp3);
        let get = reply.field("get");
        assert_eq!(get.field("group").string(), "string");
        assert_eq!(get.field("since").string(), "1.0.0");
        assert!(!get.field("summary").string().is_empty());
        assert_eq!(get.field("complexity").string(), "O(1)");
        let key = &get.field("arguments").items()[0];
        assert_eq!(key.field("name").string(), "key");
        assert_eq!(key.field("type").string(), "key");
        assert_eq!(key.field("key_spec_index").int(), 0);
        assert!(!reply.field("set").field("arguments").items().is_empty());
        assert_eq!(kv.line("COMMAND DOCS config").field("config").field("group").string(), "server");
        let entries = |v: &Value| match v {
            Value::Map(pairs) => pairs.len(),
            other => other.items().len() / 2,
        };
        assert_eq!(entries(&kv.line("COMMAND DOCS nosuch")), 0);
        let all = entries(&kv.line("COMMAND DOCS")) as i64;
        assert_eq!(all, kv.int("COMMAND COUNT"));
    });
}

#[test]
fn getkeys() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            COMMAND GETKEYS GET a      => ["a"]
            COMMAND GETKEYS MSET a 1 b 2 => ["a" "b"]
            COMMAND GETKEYS MGET a b c => ["a" "b" "c"]
            COMMAND GETKEYS set a b EX 1 => ["a"]
            COMMAND GETKEYS COPY a b   => ["a" "b"]
            COMMAND GETKEYS LCS a b LEN => ["a" "b"]
            COMMAND GETKEYS OBJECT ENCODING a => ["a"]
            COMMAND GETKEYS MEMORY USAGE a => ["a"]
            @valkey>=9.1 COMMAND GETKEYS MSETEX 2 a 1 b 2 EX 5 => ["a" "b"]
            COMMAND GETKEYSANDFLAGS GET a => [["a" [RO access]]] || [["a" #[RO access]]]
            COMMAND GETKEYSANDFLAGS SET a 1 => [["a" [OW update]]] || [["a" #[OW update]]]
            COMMAND GETKEYSANDFLAGS SET a 1 GET => [["a" [RW access update]]] || [["a" #[RW access update]]]
            COMMAND GETKEYSANDFLAGS RENAME a b => [["a" [RW access delete]] ["b" [OW update]]] || [["a" #[RW access delete]] ["b" #[OW update]]]
            COMMAND GETKEYS EVAL x 0 a => []
            COMMAND GETKEYSANDFLAGS FCALL x 0 => []
            @redis>=7.2,valkey COMMAND GETKEYS EVAL x 2 a => (error) ERR Invalid arguments specified for command
            @redis>=7.2,valkey COMMAND GETKEYS ZUNION 0 a => (error) ERR Invalid arguments specified for command
            COMMAND GETKEYS nosuch a   => (error) ERR Invalid command specified
            @redis>=7.2,valkey COMMAND GETKEYS PING => (error) ERR The command has no key arguments
            @redis>=7.2,valkey COMMAND GETKEYS GET => (error) ERR Invalid number of arguments specified for command
            COMMAND GETKEYS            => (error) ERR wrong number of arguments for 'command|getkeys' command
            COMMAND GETKEYSANDFLAGS    => (error) ERR wrong number of arguments for 'command|getkeysandflags' command
            "#,
        );
    });
}
