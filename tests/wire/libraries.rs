//! Client libraries and tools, as their users run them: redis-rs as it comes, redis-py and redis-cli where the machine
//! has them (a test that finds none says so and passes: it would test nothing of ours).

use super::support::{Proto, Server};
use redis::{Commands, ConnectionLike};
use std::io::Write;
use std::process::{Command, Stdio};

fn client(server: &Server, proto: Proto) -> redis::Client {
    let suffix = match proto {
        Proto::Resp2 => "",
        Proto::Resp3 => "?protocol=resp3",
    };
    redis::Client::open(format!("redis://127.0.0.1:{}/3{suffix}", server.port)).unwrap()
}

#[test]
fn redis_rs() {
    let server = Server::start(&[]);
    for proto in [Proto::Resp2, Proto::Resp3] {
        let mut c = client(&server, proto).get_connection().unwrap();
        assert!(c.check_connection());
        let _: () = redis::cmd("FLUSHALL").query(&mut c).unwrap();
        let _: () = c.set("greeting", "hello").unwrap();
        assert_eq!(c.get::<_, String>("greeting").unwrap(), "hello");
        assert_eq!(c.get::<_, Option<String>>("nothing").unwrap(), None);
        assert_eq!(c.incr::<_, _, i64>("n", 41).unwrap(), 41);
        let (n, text): (i64, String) = redis::pipe().atomic().incr("n", 1).get("greeting").query(&mut c).unwrap();
        assert_eq!((n, text.as_str()), (42, "hello"));
        let _: () = c.pset_ex("soon", 1, 100_000).unwrap();
        let left: i64 = c.pttl("soon").unwrap();
        assert!((1..=100_000).contains(&left), "{left}");
        let pairs: Vec<(String, i64)> = (0..500).map(|i| (format!("key:{i}"), i)).collect();
        let _: () = c.mset(&pairs).unwrap();
        let found: Vec<String> = c.scan_match("key:*").unwrap().map(|key| key.unwrap()).collect();
        let mut sorted = found;
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), 500);
        let wrong = redis::cmd("INCR").arg("greeting").query::<i64>(&mut c).unwrap_err();
        assert!(wrong.to_string().contains("not an integer"), "{wrong}");
    }
}

#[test]
fn redis_rs_subscribes() {
    let server = Server::start(&[]);
    let mut publisher = client(&server, Proto::Resp2).get_connection().unwrap();
    let mut c = client(&server, Proto::Resp2).get_connection().unwrap();
    let mut subscriber = c.as_pubsub();
    subscriber.subscribe(&["a", "b"]).unwrap();
    subscriber.psubscribe("news.*").unwrap();
    assert_eq!(publisher.publish::<_, _, i64>("a", "one").unwrap(), 1);
    assert_eq!(publisher.publish::<_, _, i64>("news.art", "two").unwrap(), 1);
    let message = subscriber.get_message().unwrap();
    assert_eq!((message.get_channel_name(), message.get_payload::<String>().unwrap().as_str()), ("a", "one"));
    let message = subscriber.get_message().unwrap();
    assert_eq!(message.get_pattern::<String>().unwrap(), "news.*");
    assert_eq!((message.get_channel_name(), message.get_payload::<String>().unwrap().as_str()), ("news.art", "two"));
    subscriber.unsubscribe("a").unwrap();
    assert_eq!(publisher.publish::<_, _, i64>("a", "three").unwrap(), 0);
    drop(subscriber); // ends the other subscriptions
    assert!(c.check_connection());
    assert_eq!(publisher.publish::<_, _, i64>("news.art", "four").unwrap(), 0);
    // In RESP3 messages come among the replies.
    let mut c = client(&server, Proto::Resp3).get_connection().unwrap();
    let (sender, pushes) = std::sync::mpsc::channel();
    c.set_push_sender(sender);
    c.subscribe_resp3("c").unwrap();
    assert_eq!(publisher.publish::<_, _, i64>("c", "five").unwrap(), 1);
    let _: () = c.set("still", "usable").unwrap();
    let kinds: Vec<_> = pushes.try_iter().map(|push| push.kind).collect();
    assert_eq!(kinds, [redis::PushKind::Subscribe, redis::PushKind::Message]);
}

const PY: &str = "
import sys, redis
for protocol in (2, 3):
    r = redis.Redis(port=int(sys.argv[1]), protocol=protocol, decode_responses=True)
    r.flushall()
    assert r.ping() and r.set('a', '1', ex=100) and r.get('a') == '1' and 90 < r.ttl('a') <= 100
    assert r.incrbyfloat('f', 0.5) == 0.5
    with r.pipeline(transaction=True) as p:
        p.set('b', 2).incr('a').mget('a', 'b', 'c')
        assert p.execute() == [True, 2, ['2', '2', None]], 'transaction'
    with r.pipeline() as p:
        p.watch('a'); r.set('a', 'other'); p.multi(); p.set('a', 'mine')
        try: p.execute(); raise SystemExit('the watch was missed')
        except redis.WatchError: pass
    r.mset({'k%d' % i: i for i in range(300)})
    assert len(set(r.scan_iter('k*'))) == 300
    assert r.info()['redis_mode'] == 'standalone' and r.config_get('maxmemory') == {'maxmemory': '0'}
    assert r.client_setname('me') and r.client_getname() == 'me' and r.client_list()
    assert r.restore('copy', 0, redis.Redis(port=int(sys.argv[1])).dump('b')) and r.get('copy') == '2'
    assert r.command_count() > 60 and 'get' in r.command() and r.memory_usage('a') > 0
    assert r.object('encoding', 'k1') == 'int' and r.time() and r.slowlog_len() >= 0
    p = r.pubsub()
    p.subscribe('a', 'b'); p.psubscribe('n*'); p.ssubscribe('s')
    def heard(): return next(m for m in iter(lambda: p.get_message(timeout=5), None) if 'message' in m['type'])
    for _ in range(4): assert p.get_message(timeout=5)['type'].endswith('subscribe')
    assert r.publish('a', 'one') == 1 and r.publish('news', 'two') == 1 and r.spublish('s', 'three') == 1
    got = [heard() for _ in range(3)]
    assert [(m['type'], m['channel'], m['data']) for m in got] == [('message', 'a', 'one'), ('pmessage', 'news', 'two'), ('smessage', 's', 'three')], got
    assert sorted(r.pubsub_channels()) == ['a', 'b'] and r.pubsub_numpat() == 1 and r.pubsub_shardchannels() == ['s']
    assert r.pubsub_numsub('a', 'x') == [('a', 1), ('x', 0)] and p.ping() is None
    p.unsubscribe(); p.punsubscribe(); p.sunsubscribe('s')
    while p.subscribed: p.get_message(timeout=5)
    p.close()
    try: from redis.cache import CacheConfig
    except ImportError: CacheConfig = None
    if CacheConfig and protocol == 3:
        caching = redis.Redis(port=int(sys.argv[1]), protocol=3, decode_responses=True, cache_config=CacheConfig())
        r.set('cached', 'old')
        assert caching.get('cached') == 'old' and caching.get_cache().size == 1 and r.info()['tracking_clients'] == 1
        r.set('cached', 'new')
        assert caching.get('cached') == 'new'
        r.flushall()
        assert caching.get('cached') is None
        caching.close()
    try: r.execute_command('NOSUCH'); raise SystemExit('no error')
    except redis.ResponseError as e: assert 'unknown command' in str(e)
print('fine')
";

#[test]
fn redis_py() {
    let there = Command::new("python3").args(["-c", "import redis"]).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        return println!("skipped: redis-py is not installed");
    }
    let server = Server::start(&[]);
    let run = Command::new("python3").args(["-c", PY, &server.port.to_string()]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && said.contains("fine"), "{said}");
}

fn redis_cli(server: &Server, args: &[&str], input: &[u8]) -> Option<String> {
    let port = server.port.to_string();
    let mut command = Command::new("redis-cli");
    command.args(["-p", &port]).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Err(_) => {
            println!("skipped: redis-cli is not installed");
            return None;
        }
        Ok(child) => child,
    };
    child.stdin.take().unwrap().write_all(input).unwrap();
    let out = child.wait_with_output().unwrap();
    Some(String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
}

#[test]
fn redis_cli_modes() {
    let server = Server::start(&[]);
    let Some(said) = redis_cli(&server, &[], b"set a 'one two'\nget a\nhello 3\nmget a b\n") else { return };
    assert!(said.contains("OK\none two\n"), "interactive: {said}");
    let mut pipe = Vec::new();
    for i in 0..1000 {
        write!(pipe, "*3\r\n$3\r\nSET\r\n${}\r\nkey:{i}\r\n$1\r\nv\r\n", format!("key:{i}").len()).unwrap();
    }
    let said = redis_cli(&server, &["--pipe"], &pipe).unwrap();
    assert!(said.contains("errors: 0, replies: 1000"), "--pipe: {said}");
    let said = redis_cli(&server, &["--scan", "--pattern", "key:*"], b"").unwrap();
    assert_eq!(said.lines().count(), 1000, "--scan");
    let said = redis_cli(&server, &["--bigkeys"], b"").unwrap();
    assert!(said.contains("Sampled 1001 keys") && said.contains("Biggest string found"), "--bigkeys: {said}");
    let said = redis_cli(&server, &["--memkeys"], b"").unwrap();
    assert!(said.contains("Sampled 1001 keys"), "--memkeys: {said}");
    let said = redis_cli(&server, &["--latency", "-i", "1", "--raw"], b"").unwrap_or_default();
    assert!(!said.contains("ERR"), "--latency: {said}");
    let said = redis_cli(&server, &["-r", "3", "-i", "0.05", "incr", "n"], b"").unwrap();
    assert_eq!(said, "1\n2\n3\n");
    let file = server.dir.path().join("copy.rdb");
    let said = redis_cli(&server, &["--rdb", file.to_str().unwrap()], b"").unwrap();
    assert!(said.contains("Transfer finished with success"), "--rdb: {said}");
    assert!(std::fs::read(&file).unwrap().starts_with(b"REDIS"));
}
