//! Where a client comes from, by the text of its address.

/// Whether `addr` (`ip:port`, the ip of version 6 in brackets or not) is of this machine.
pub fn is_loopback(addr: &str) -> bool {
    let ip = addr.rsplit_once(':').map_or(addr, |(ip, _)| ip);
    let ip = ip.trim_start_matches('[').trim_end_matches(']');
    match ip.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V6(v6)) => v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()),
        Ok(std::net::IpAddr::V4(v4)) => v4.is_loopback(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_in_every_spelling() {
        for yes in ["127.0.0.1:6379", "127.9.9.9:1", "[::1]:6379", "[::ffff:127.0.0.1]:80", "::1:6379"] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["10.0.0.1:6379", "[2001:db8::1]:6379", "", "x:1"] {
            assert!(!is_loopback(no), "{no}");
        }
    }
}
