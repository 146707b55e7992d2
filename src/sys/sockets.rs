//! Listeners and socket options that the standard library has no word for.
//!
//! Everything made here is close-on-exec from birth and does not block. What accepts and reads is the reactor.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::block::{Block, Empty};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{
    Ipv6V6Only, KeepAlive, ReuseAddr, TcpKeepCount, TcpKeepIdle, TcpKeepInterval, TcpNoDelay,
};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, bind, connect, getpeername,
    getsockname, listen, setsockopt, socket,
};

/// The addresses that a `bind` entry and a port mean: `*` is every IPv4 address, `::*` every IPv6 one, anything
/// else an address or a name (which is resolved, and may take its time).
pub fn resolve_bind(entry: &[u8], port: u16) -> io::Result<Vec<SocketAddr>> {
    match entry {
        b"*" => Ok(vec![SocketAddr::from(([0, 0, 0, 0], port))]),
        b"::*" => Ok(vec![SocketAddr::from(([0u16; 8], port))]),
        _ => resolve(entry, port),
    }
}

/// The addresses of a name, or the one that it is. Asking a name server may take long.
pub fn resolve(name: &[u8], port: u16) -> io::Result<Vec<SocketAddr>> {
    let unknown = |_| io::Error::new(io::ErrorKind::InvalidInput, "Name or service not known");
    let name = std::str::from_utf8(name).map_err(unknown)?;
    Ok((name, port).to_socket_addrs()?.collect())
}

/// Listens on a TCP address. Port 0 lets the system choose.
///
/// An IPv6 listener takes IPv6 only: IPv4 has listeners of its own, and an operator who binds both must not find
/// that the second fails because the first took its port.
pub fn listen_tcp(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = new_socket(family)?;
    if address.is_ipv6() {
        setsockopt(&fd, Ipv6V6Only, &true)?;
    }
    // Without this a restart must wait until the last connections of the former process have timed out.
    setsockopt(&fd, ReuseAddr, &true)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&fd, clamp_backlog(backlog))?;
    Ok(TcpListener::from(fd))
}

/// Begins to connect from one of our addresses; as in Redis, from any if that one cannot be had. Whether it succeeds is
/// known when the socket is writable.
pub fn connect_tcp_from(source: IpAddr, address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = new_socket(family)?;
    let _ = bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(source, 0)));
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(fd)),
        Err(error) => Err(error.into()),
    }
}

/// Listens on a unix socket at `path`, with the file mode `mode` when one is given. A socket that a former process
/// left there is replaced; anything else there is an error.
pub fn listen_unix(path: &Path, mode: Option<u32>, backlog: u32) -> io::Result<UnixListener> {
    use std::os::unix::fs::FileTypeExt;
    if fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let fd = new_socket(AddressFamily::Unix)?;
    bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    if let Some(mode) = mode {
        // Before listening: until then nobody can connect, so nobody can slip in under the wider mode.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    listen(&fd, clamp_backlog(backlog))?;
    Ok(UnixListener::from(fd))
}

fn new_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?)
}

/// The kernel cuts what is above its own limit (see [`somaxconn`]); nix refuses it, so the cut is made here.
fn clamp_backlog(backlog: u32) -> Backlog {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    Backlog::new(backlog).unwrap_or(Backlog::MAXCONN)
}

/// The kernel's limit on a listener's backlog, when it tells: a larger `tcp-backlog` deserves a warning.
pub fn somaxconn() -> Option<u32> {
    fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse().ok()
}

/// Sends small writes at once instead of waiting for more (Nagle's algorithm off).
pub fn set_nodelay(socket: &impl AsFd, on: bool) -> io::Result<()> {
    Ok(setsockopt(socket, TcpNoDelay, &on)?)
}

/// Probes an idle peer after `idle_seconds`, then three times at thirds of that, so that a dead one is noticed
/// after about twice the time; 0 switches probing off.
pub fn set_keepalive(socket: &impl AsFd, idle_seconds: u32) -> io::Result<()> {
    if idle_seconds == 0 {
        return Ok(setsockopt(socket, KeepAlive, &false)?);
    }
    setsockopt(socket, KeepAlive, &true)?;
    setsockopt(socket, TcpKeepIdle, &idle_seconds)?;
    setsockopt(socket, TcpKeepInterval, &(idle_seconds / 3).max(1))?;
    Ok(setsockopt(socket, TcpKeepCount, &3)?)
}

/// Receives once, at most `max` bytes, and appends them to `into`. `Ok(0)` is the end of the stream, if `max` is not 0.
///
/// This is `read(2)` into room that was never written: the standard library's `Read` wants initialised bytes, and
/// zeroing 16 KiB before every request costs more than receiving it.
pub fn recv_into(socket: impl AsFd, into: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    into.reserve(max);
    let room = &mut into.spare_capacity_mut()[..max];
    // SAFETY: `room` is writable memory of `max` bytes that nothing else refers to; `recv` only writes to it.
    let n = unsafe { libc::recv(socket.as_fd().as_raw_fd(), room.as_mut_ptr().cast(), max, 0) };
    let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel wrote the first `n` bytes of the spare room, and says never more than `max`.
    unsafe { into.set_len(into.len() + n) };
    Ok(n)
}

/// Receives once, at most `max` bytes: into `tail` first, which is full then, and then into empty blocks, which are moved to
/// `out` as they are filled. `Ok(0)` is the end of the stream, if `max` is not 0.
pub fn recv_blocks(
    socket: impl AsFd,
    tail: &mut [u8],
    empty: &mut Vec<Empty>,
    max: usize,
    out: &mut Vec<Block>,
) -> io::Result<usize> {
    let mut rooms = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; ROOMS_MAX];
    let (mut count, mut left) = (0, max);
    let tail_room = (tail.as_mut_ptr().cast(), tail.len());
    let others = empty.iter_mut().map(|block| {
        let room = block.room();
        (room.as_mut_ptr().cast(), room.len())
    });
    for (iov_base, len) in std::iter::once(tail_room).chain(others).filter(|room| room.1 > 0).take(ROOMS_MAX) {
        let iov_len = len.min(left);
        rooms[count] = libc::iovec { iov_base, iov_len };
        left -= iov_len;
        count += 1;
    }
    // SAFETY: the rooms are writable memory that nothing else refers to; `readv` only writes to them.
    let n = unsafe { libc::readv(socket.as_fd().as_raw_fd(), rooms.as_ptr(), count as libc::c_int) };
    let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
    let mut behind = n.saturating_sub(tail.len());
    let full = empty.iter_mut().scan(behind, |left, block| {
        let here = (*left).min(block.room().len());
        *left -= here;
        (here > 0).then_some(())
    });
    let filled = full.count();
    for mut block in empty.drain(..filled) {
        let here = behind.min(block.room().len());
        behind -= here;
        // SAFETY: the kernel wrote `n` bytes, one room after the other.
        out.push(unsafe { block.filled(here) });
    }
    Ok(n)
}

/// So many places at most are received into at once.
const ROOMS_MAX: usize = 18;

/// The other end's address as Redis writes it: `127.0.0.1:6379`, `[::1]:6379`; a unix socket has none, and is
/// shown by the path of this end, `/run/kv.sock:0`. `?:0` when the connection is gone.
pub fn peer_text(socket: &impl AsFd) -> String {
    let fd = socket.as_fd().as_raw_fd();
    match getpeername::<SockaddrStorage>(fd) {
        Ok(peer) if peer.family() == Some(AddressFamily::Unix) => local_text(socket),
        Ok(peer) => address_text(&peer),
        Err(_) => "?:0".to_owned(),
    }
}

/// This end's address, in the form of [`peer_text`].
pub fn local_text(socket: &impl AsFd) -> String {
    let local = getsockname::<SockaddrStorage>(socket.as_fd().as_raw_fd());
    local.map_or_else(|_| "?:0".to_owned(), |address| address_text(&address))
}

fn address_text(address: &SockaddrStorage) -> String {
    if let Some(unix) = address.as_unix_addr() {
        return format!("{}:0", unix.path().map(Path::to_string_lossy).unwrap_or_default());
    }
    if let Some(v4) = address.as_sockaddr_in() {
        return format!("{}:{}", v4.ip(), v4.port());
    }
    match address.as_sockaddr_in6() {
        Some(v6) => format!("[{}]:{}", v6.ip(), v6.port()),
        None => "?:0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;

    fn accept(listener: &TcpListener) -> TcpStream {
        listener.set_nonblocking(false).unwrap();
        listener.accept().unwrap().0
    }

    #[test]
    fn tcp_on_both_families() {
        let v4 = listen_tcp("127.0.0.1:0".parse().unwrap(), 511).unwrap();
        let port = v4.local_addr().unwrap().port();
        assert_eq!(v4.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let client = TcpStream::connect(v4.local_addr().unwrap()).unwrap();
        let server = accept(&v4);
        assert_eq!(peer_text(&server), format!("127.0.0.1:{}", client.local_addr().unwrap().port()));
        assert_eq!(local_text(&server), format!("127.0.0.1:{port}"));
        // The same port on IPv6 is free, because neither takes the other's family.
        if let Ok(v6) = listen_tcp(SocketAddr::from(([0u16; 8], port)), 511) {
            let client = TcpStream::connect(("::1", port)).unwrap();
            let server = accept(&v6);
            assert_eq!(peer_text(&server), format!("[::1]:{}", client.local_addr().unwrap().port()));
        }
        assert_eq!(listen_tcp(v4.local_addr().unwrap(), 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn options_take() {
        let listener = listen_tcp("127.0.0.1:0".parse().unwrap(), u32::MAX).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        set_nodelay(&stream, true).unwrap();
        assert!(stream.nodelay().unwrap());
        set_keepalive(&stream, 300).unwrap();
        set_keepalive(&stream, 1).unwrap();
        assert_eq!(nix::sys::socket::getsockopt(&stream, TcpKeepInterval).unwrap(), 1);
        set_keepalive(&stream, 0).unwrap();
        assert!(!nix::sys::socket::getsockopt(&stream, KeepAlive).unwrap());
        assert!(somaxconn().unwrap() > 0);
    }

    #[test]
    fn received_bytes_are_appended() {
        use std::io::Write;
        let listener = listen_tcp("127.0.0.1:0".parse().unwrap(), 8).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = accept(&listener);
        client.write_all(b"hello").unwrap();
        let mut buf = b">".to_vec();
        assert_eq!(recv_into(&server, &mut buf, 3).unwrap(), 3);
        assert_eq!(recv_into(&server, &mut buf, 100).unwrap(), 2);
        assert_eq!(buf, b">hello");
        drop(client);
        assert_eq!(recv_into(&server, &mut buf, 100).unwrap(), 0);
    }

    #[test]
    fn unix_socket_replaces_a_stale_one_only() {
        let dir = std::env::temp_dir().join(format!("kvstash-sock-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("kv.sock");
        drop(listen_unix(&path, Some(0o700), 16).unwrap());
        let listener = listen_unix(&path, Some(0o700), 16).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let _client = UnixStream::connect(&path).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(peer_text(&server), format!("{}:0", path.display()));
        let file = dir.join("plain");
        fs::write(&file, "precious").unwrap();
        assert!(listen_unix(&file, None, 16).is_err());
        assert_eq!(fs::read(&file).unwrap(), b"precious");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn bind_entries() {
        assert_eq!(resolve_bind(b"*", 1).unwrap()[0].to_string(), "0.0.0.0:1");
        assert_eq!(resolve_bind(b"::*", 1).unwrap()[0].to_string(), "[::]:1");
        assert_eq!(resolve_bind(b"127.0.0.1", 7).unwrap()[0].to_string(), "127.0.0.1:7");
        assert_eq!(resolve_bind(b"::1", 7).unwrap()[0].to_string(), "[::1]:7");
        assert!(resolve_bind(b"caf\xe9", 7).is_err());
    }
}
