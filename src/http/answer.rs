//! From the bytes of a request to the bytes of a reply, without sockets and clocks.
//!
//! Only requests without a body make sense here. One that announces a body is answered, and the connection closed:
//! so nobody has to read it.

use crate::observe::export::{CONTENT_TYPE, Exporter};
use crate::observe::metrics::Metrics;

/// A request's head may not be longer.
pub(super) const HEAD_BYTES_MAX: usize = 8 * 1024;

const HEADERS_MAX: usize = 64;

/// What became of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// The request is not complete.
    NeedMore,
    /// A reply was appended; the request took so many bytes.
    Reply {
        consumed: usize,
        /// Whether the connection may be used again.
        keep: bool,
    },
}

/// Answers the request that `input` begins with, into `out`.
pub(super) fn answer(input: &[u8], metrics: &Metrics, exporter: &Exporter, out: &mut Vec<u8>) -> Answered {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let close = Answered::Reply { consumed: input.len(), keep: false };
    let consumed = match request.parse(input) {
        Ok(httparse::Status::Complete(n)) => n,
        Ok(httparse::Status::Partial) if input.len() < HEAD_BYTES_MAX => return Answered::NeedMore,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            Page::error("431 Request Header Fields Too Large").push(false, false, out);
            return close;
        }
        Err(_) => {
            Page::error("400 Bad Request").push(false, false, out);
            return close;
        }
    };
    let (method, path) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
    let keep = keeps(&request);
    let page = match method {
        "GET" | "HEAD" => page(path, metrics, exporter),
        _ => Page { allow: true, ..Page::error("405 Method Not Allowed") },
    };
    page.push(keep, method == "HEAD", out);
    Answered::Reply { consumed, keep }
}

/// Whether the next request may follow on the connection.
fn keeps(request: &httparse::Request<'_, '_>) -> bool {
    let mut keep = request.version == Some(1);
    for header in request.headers.iter() {
        let name = header.name;
        if name.eq_ignore_ascii_case("connection") {
            let says =
                |word: &[u8]| header.value.split(|&b| b == b',').any(|w| w.trim_ascii().eq_ignore_ascii_case(word));
            keep = (keep || says(b"keep-alive")) && !says(b"close");
        }
    }
    let has_body = |h: &httparse::Header<'_>| {
        h.name.eq_ignore_ascii_case("transfer-encoding")
            || h.name.eq_ignore_ascii_case("content-length") && h.value != b"0"
    };
    keep && !request.headers.iter().any(has_body)
}

struct Page {
    status: &'static str,
    kind: &'static str,
    allow: bool,
    body: String,
}

const PLAIN: &str = "text/plain; charset=utf-8";

impl Page {
    fn error(status: &'static str) -> Page {
        Page { status, kind: PLAIN, allow: false, body: format!("{status}\n") }
    }

    fn ok(kind: &'static str, body: String) -> Page {
        Page { status: "200 OK", kind, allow: false, body }
    }

    fn push(&self, keep: bool, head_only: bool, out: &mut Vec<u8>) {
        let allow = if self.allow { "Allow: GET, HEAD\r\n" } else { "" };
        let connection = if keep { "keep-alive" } else { "close" };
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{allow}Connection: {connection}\r\n\r\n",
            self.status,
            self.kind,
            self.body.len(),
        );
        out.extend_from_slice(head.as_bytes());
        if !head_only {
            out.extend_from_slice(self.body.as_bytes());
        }
    }
}

fn page(path: &str, metrics: &Metrics, exporter: &Exporter) -> Page {
    match path.split('?').next().unwrap_or(path) {
        "/metrics" => Page::ok(CONTENT_TYPE, exporter.render()),
        "/healthz" => Page::ok(PLAIN, "ok\n".to_owned()),
        "/readyz" if metrics.ready.get() == 0 => {
            Page { body: "loading\n".to_owned(), ..Page::error("503 Service Unavailable") }
        }
        "/readyz" => Page::ok(PLAIN, "ready\n".to_owned()),
        "/" => Page::ok(PLAIN, "kvstash: /metrics /healthz /readyz\n".to_owned()),
        _ => Page::error("404 Not Found"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn check(request: &str, want_status: &str, want_keep: Option<bool>) -> String {
        let metrics = Arc::new(Metrics::new(Vec::new(), 1, &[]));
        let exporter = Exporter::new(metrics.clone());
        let mut out = Vec::new();
        let answered = answer(request.as_bytes(), &metrics, &exporter, &mut out);
        let text = String::from_utf8(out).unwrap();
        match want_keep {
            None => assert_eq!((answered, text.as_str()), (Answered::NeedMore, "")),
            Some(want) => {
                let Answered::Reply { keep, .. } = answered else { panic!("{request:?}: no reply") };
                assert_eq!(keep, want, "{request:?}");
                assert!(text.starts_with(&format!("HTTP/1.1 {want_status}")), "{request:?}: {text}");
                assert!(text.contains(if want { "Connection: keep-alive" } else { "Connection: close" }));
            }
        }
        text
    }

    #[test]
    fn statuses() {
        check("GET /healthz HTTP/1.1\r\n\r\n", "200 OK", Some(true));
        check("GET /metrics?x=1 HTTP/1.1\r\n\r\n", "200 OK", Some(true));
        check("GET / HTTP/1.1\r\n\r\n", "200 OK", Some(true));
        check("GET /x HTTP/1.1\r\n\r\n", "404", Some(true));
        assert!(check("DELETE /metrics HTTP/1.1\r\n\r\n", "405", Some(true)).contains("Allow: GET, HEAD"));
        check("GET /healthz", "", None);
        check("PING\r\n", "400", Some(false));
        check("*1\r\n$4\r\nPING\r\n", "400", Some(false));
        check(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(HEAD_BYTES_MAX)), "431", Some(false));
        check(&format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(100)), "431", Some(false));
    }

    #[test]
    fn who_keeps_the_connection() {
        check("GET / HTTP/1.0\r\n\r\n", "200", Some(false));
        check("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "200", Some(true));
        check("GET / HTTP/1.1\r\nconnection: foo, close\r\n\r\n", "200", Some(false));
        check("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "200", Some(true));
        check("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "405", Some(false));
    }

    #[test]
    fn a_head_has_no_body() {
        let text = check("HEAD /healthz HTTP/1.1\r\n\r\n", "200", Some(true));
        assert!(text.contains("Content-Length: 3\r\n") && text.ends_with("\r\n\r\n"));
    }
}
