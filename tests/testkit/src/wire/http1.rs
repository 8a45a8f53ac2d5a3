//! As much HTTP/1.1 as a proxy needs that carries one request on each connection.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Requests and answers of tests are a few kilobytes.
const MAX_BYTES: usize = 1024 * 1024;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// A request as it came; none when the client closed the connection without one.
pub(super) async fn read_request(client: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(length) = length_of(&bytes)?
            && bytes.len() >= length
        {
            return Ok(Some(bytes));
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        if bytes.len() > MAX_BYTES {
            return Err(io::Error::other("the request is too large"));
        }
    }
}

/// How long a request is in all, once its head is there.
fn length_of(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(body) = body_at(bytes) else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..body]).to_ascii_lowercase();
    if head.contains("\r\ntransfer-encoding:") {
        return Err(io::Error::other("a body without a Content-Length is not carried here"));
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(Ok(0), |text| text.trim().parse::<usize>()).map_err(io::Error::other)?;
    Ok(Some(body.saturating_add(length)))
}

/// Where the body begins.
fn body_at(bytes: &[u8]) -> Option<usize> {
    bytes.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD).map(|at| at + END_OF_HEAD.len())
}

/// The answer to a request, whole.
pub(super) async fn exchange(upstream: &str, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(upstream).await?;
    // So that the end of the answer is the end of the connection, for us and for the client.
    let first_line = request.windows(2).position(|window| window == b"\r\n").map_or(request.len(), |at| at + 2);
    stream.write_all(&request[..first_line]).await?;
    stream.write_all(b"connection: close\r\n").await?;
    stream.write_all(&request[first_line..]).await?;
    let mut answer = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    stream.take(limit).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// The head and half of the body.
pub(super) fn cut_at_body(answer: &[u8]) -> &[u8] {
    let body = body_at(answer).unwrap_or(0);
    &answer[..body + (answer.len() - body) / 2]
}
