//! The least HTTP client that can drive the API: one keep-alive connection, one request at a time.
//!
//! The driver shares the processors with what it measures, so it does nothing a client need not do: no pool, no
//! redirects, no decoding. Not here: chunked bodies; the API's answers have a length.

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Answers to what the driver asks are below a kilobyte.
const ANSWER_MAX: usize = 64 * 1024;

/// A connection.
pub(crate) struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

/// As much of an answer as the driver needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
}

impl Wire {
    pub(crate) async fn connect(address: std::net::SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot reach the API")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(4096) })
    }

    /// Sends a whole request and waits for its whole answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.received.clear();
        self.stream.write_all(request).await?;
        loop {
            let count = self.stream.read_buf(&mut self.received).await?;
            ensure!(count > 0, "the API closed the connection");
            ensure!(self.received.len() <= ANSWER_MAX, "the API's answer is too long");
            if let Some(answer) = whole(&self.received)? {
                return Ok(answer);
            }
        }
    }
}

/// The answer, once all of it is there.
fn whole(received: &[u8]) -> anyhow::Result<Option<Answer>> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(end) = received.windows(END.len()).position(|window| window == END) else { return Ok(None) };
    let head = std::str::from_utf8(&received[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status line")?.parse()?;
    let (mut length, mut location) = (None, None);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { bail!("a header without a colon: {line}") };
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<usize>()?);
        } else if name.eq_ignore_ascii_case("location") {
            location = Some(value.trim().to_owned());
        }
    }
    let length = length.context("an answer without a length")?;
    Ok((received.len() >= end + END.len() + length).then_some(Answer { status, location }))
}

#[cfg(test)]
mod tests {
    use super::{Answer, whole};

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let text = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nLocation: /v1/charges/ch_1\r\n\r\n{}";
        for length in 0..text.len() {
            assert_eq!(whole(&text[..length]).unwrap(), None, "after {length} bytes");
        }
        let location = Some("/v1/charges/ch_1".to_owned());
        assert_eq!(whole(text).unwrap(), Some(Answer { status: 202, location }));
    }
}
