//! A blocking MQTT connection. Every wait has a limit, so that a silent server is a finding and never a hang.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::Version;
use super::packet::{self, PINGREQ, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish};
use super::parse::{self, ConnAck, Packet};
use super::property::Properties;

/// How long an expected packet may take.
pub const PATIENCE: Duration = Duration::from_millis(2_500);
/// How long nothing must come before we believe that nothing comes.
pub const QUIET: Duration = Duration::from_millis(400);

/// What a read brought.
#[derive(Debug)]
pub enum Seen {
    /// A packet.
    Packet(Packet),
    /// The server closed the connection.
    Closed,
    /// Nothing in that time.
    Nothing,
}

/// The server closed the connection while something was waited for: an [`std::io::Error`], as every other loss of it is.
#[must_use]
pub fn gone(what: &str) -> anyhow::Error {
    std::io::Error::new(ErrorKind::UnexpectedEof, format!("waiting for {what}: the server closed the connection")).into()
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    version: Version,
    held: Vec<u8>,
    /// Packets that came while another one was waited for.
    later: VecDeque<Packet>,
    next_id: u16,
    deadline: Instant,
    last_bytes: usize,
}

impl Client {
    /// Connects the socket and sends nothing. No wait of this client goes past `deadline`.
    ///
    /// # Errors
    /// The connection is refused.
    pub fn open(target: &str, version: Version, deadline: Instant) -> Result<Self> {
        let stream = TcpStream::connect(target).with_context(|| format!("connecting to {target}"))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, version, held: Vec::new(), later: VecDeque::new(), next_id: 0, deadline, last_bytes: 0 })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("sending")
    }

    /// Sends bytes of which the server may refuse a part: a connection that ends meanwhile is no error here.
    pub fn throw(&mut self, bytes: &[u8]) {
        // What the server made of it shows in what is read afterwards.
        let _ = self.stream.write_all(bytes);
    }

    /// A packet id not used before on this connection.
    pub fn fresh_id(&mut self) -> u16 {
        self.next_id += 1;
        self.next_id
    }

    /// Length in bytes of the packet read last.
    #[must_use]
    pub fn last_bytes(&self) -> usize {
        self.last_bytes
    }

    /// Waits for a packet, the end or the time.
    ///
    /// # Errors
    /// A packet that no server may send, or the test's time is over.
    pub fn see(&mut self, within: Duration) -> Result<Seen> {
        match self.later.pop_front() {
            Some(packet) => Ok(Seen::Packet(packet)),
            None => self.see_fresh(within),
        }
    }

    fn see_fresh(&mut self, within: Duration) -> Result<Seen> {
        let end = Instant::now() + within;
        loop {
            if let Some((first, body, length)) = parse::split(&self.held)? {
                let packet = parse::packet(self.version, first, body)?;
                self.last_bytes = length;
                self.held.drain(..length);
                return Ok(Seen::Packet(packet));
            }
            let now = Instant::now();
            ensure!(now < self.deadline, "the test took longer than its time");
            let left = end.min(self.deadline).saturating_duration_since(now);
            if left.is_zero() {
                return Ok(Seen::Nothing);
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut buffer = [0; 16_384];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Seen::Closed),
                Ok(count) => self.held.extend_from_slice(&buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => return Ok(Seen::Closed),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Packets that were taken and are for a later wait.
    pub fn put_back(&mut self, packets: Vec<Packet>) {
        for packet in packets.into_iter().rev() {
            self.later.push_front(packet);
        }
    }

    /// The next packet, whichever.
    ///
    /// # Errors
    /// None came.
    pub fn expect(&mut self, what: &str) -> Result<Packet> {
        match self.see(PATIENCE)? {
            Seen::Packet(packet) => Ok(packet),
            Seen::Closed => Err(gone(what)),
            Seen::Nothing => bail!("waiting for {what}: nothing came"),
        }
    }

    /// CONNACK.
    ///
    /// # Errors
    /// Something else came.
    pub fn expect_connack(&mut self) -> Result<ConnAck> {
        match self.expect("CONNACK")? {
            Packet::ConnAck(answer) => Ok(answer),
            other => bail!("instead of CONNACK came {other:?}"),
        }
    }

    /// A message; not yet acknowledged.
    ///
    /// # Errors
    /// Something else came.
    pub fn expect_publish(&mut self) -> Result<Publish> {
        match self.expect("PUBLISH")? {
            Packet::Publish(message) => Ok(message),
            other => bail!("instead of PUBLISH came {other:?}"),
        }
    }

    /// A message, acknowledged as its QoS wants.
    ///
    /// # Errors
    /// Something else came.
    pub fn receive(&mut self) -> Result<Publish> {
        let message = self.expect_publish()?;
        self.acknowledge(&message)?;
        Ok(message)
    }

    /// The whole acknowledging of a message that came.
    ///
    /// # Errors
    /// The server does not go along.
    pub fn acknowledge(&mut self, message: &Publish) -> Result<()> {
        match message.qos {
            0 => Ok(()),
            1 => self.send(&packet::ack(PUBACK, message.id)),
            _ => {
                self.send(&packet::ack(PUBREC, message.id))?;
                self.await_pubrel(message.id)?;
                self.send(&packet::ack(PUBCOMP, message.id))
            }
        }
    }

    /// PUBREL of that id; messages that come before it are kept for later.
    fn await_pubrel(&mut self, wanted: u16) -> Result<()> {
        loop {
            match self.see_fresh(PATIENCE)? {
                Seen::Packet(Packet::Ack { first: PUBREL, id, code, .. }) => {
                    ensure!(id == wanted, "PUBREL of packet id {id} instead of {wanted}");
                    ensure!(code == 0, "PUBREL with reason code 0x{code:02X}");
                    return Ok(());
                }
                Seen::Packet(other @ Packet::Publish(_)) => self.later.push_back(other),
                other => bail!("instead of PUBREL of packet id {wanted} came {other:?}"),
            }
        }
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP (by its first byte) of that id; its reason code is below 0x80 and returned.
    ///
    /// # Errors
    /// Something else came.
    pub fn expect_ack(&mut self, first: u8, id: u16) -> Result<u8> {
        match self.expect("an acknowledgement")? {
            Packet::Ack { first: seen, id: seen_id, code, .. } if seen == first => {
                ensure!(seen_id == id, "packet {first:#04x} acknowledges packet id {seen_id} instead of {id}");
                ensure!(code < 0x80, "acknowledged with reason code 0x{code:02X}");
                Ok(code)
            }
            other => bail!("instead of packet {first:#04x} of id {id} came {other:?}"),
        }
    }

    /// The reason code of that acknowledgement; messages that come before it are kept for later.
    ///
    /// # Errors
    /// Something else came, or nothing.
    pub fn hear_ack(&mut self, first: u8, id: u16) -> Result<u8> {
        let mut messages = Vec::new();
        let code = loop {
            match self.expect("an acknowledgement")? {
                Packet::Ack { first: seen, id: seen_id, code, .. } if seen == first && seen_id == id => break code,
                message @ Packet::Publish(_) => messages.push(message),
                other => bail!("instead of packet {first:#04x} of id {id} came {other:?}"),
            }
        };
        self.put_back(messages);
        Ok(code)
    }

    /// The end of the connection, after a DISCONNECT at most (whose reason code is returned). Nothing else may come before.
    ///
    /// # Errors
    /// The connection stays open, or something else came.
    pub fn expect_closed(&mut self) -> Result<Option<u8>> {
        let mut code = None;
        loop {
            match self.see(PATIENCE)? {
                Seen::Closed => return Ok(code),
                Seen::Nothing => bail!("the server did not close the connection"),
                Seen::Packet(Packet::Disconnect { code: seen, .. }) if code.is_none() => code = Some(seen),
                Seen::Packet(other) => bail!("instead of the end of the connection came {other:?}"),
            }
        }
    }

    /// The end of the connection, after a refusing CONNACK at most (whose code is returned).
    ///
    /// # Errors
    /// The connection stays open, is accepted, or something else came.
    pub fn expect_refused(&mut self) -> Result<Option<u8>> {
        match self.see(PATIENCE)? {
            Seen::Closed => Ok(None),
            Seen::Nothing => bail!("the server neither answered nor closed the connection"),
            Seen::Packet(Packet::ConnAck(answer)) => {
                ensure!(answer.code != 0, "the server accepted the connection");
                ensure!(!answer.session_present, "CONNACK code 0x{:02X} with session present", answer.code);
                let after = self.expect_closed()?;
                ensure!(after.is_none(), "DISCONNECT behind a refusing CONNACK [MQTT-3.14.0-1]");
                Ok(Some(answer.code))
            }
            Seen::Packet(other) => bail!("instead of a refusal came {other:?}"),
        }
    }

    /// Nothing for a while, and the connection stays.
    ///
    /// # Errors
    /// Something came.
    pub fn expect_nothing(&mut self) -> Result<()> {
        match self.see(QUIET)? {
            Seen::Nothing => Ok(()),
            Seen::Closed => bail!("the server closed the connection"),
            Seen::Packet(other) => bail!("nothing was to come, but {other:?} came"),
        }
    }

    /// PINGREQ and its answer: the connection lives and nothing else is on its way.
    ///
    /// # Errors
    /// Something else came.
    pub fn ping(&mut self) -> Result<()> {
        self.send(&PINGREQ)?;
        match self.expect("PINGRESP")? {
            Packet::PingResp => Ok(()),
            other => bail!("instead of PINGRESP came {other:?}"),
        }
    }

    /// SUBSCRIBE with these option bytes, and the codes of its SUBACK, whose id and count are checked.
    ///
    /// # Errors
    /// No such SUBACK came.
    pub fn subscribe_with<F: AsRef<[u8]>>(&mut self, filters: &[(F, u8)], list: &Properties) -> Result<Vec<u8>> {
        let id = self.fresh_id();
        self.send(&packet::frame(0x82, &packet::subscribe_body(self.version, id, filters, list)))?;
        loop {
            match self.see_fresh(PATIENCE)? {
                Seen::Packet(Packet::SubAck(answer)) => {
                    ensure!(answer.id == id, "SUBACK of packet id {} instead of {id}", answer.id);
                    ensure!(answer.codes.len() == filters.len(), "{} codes for {} filters", answer.codes.len(), filters.len());
                    return Ok(answer.codes);
                }
                // Messages may come before it (MQTT 5 §3.8.4).
                Seen::Packet(message @ Packet::Publish(_)) => self.later.push_back(message),
                Seen::Closed => return Err(gone("SUBACK")),
                other => bail!("instead of SUBACK came {other:?}"),
            }
        }
    }

    /// Subscribes one filter; it must be granted with exactly that QoS (the low bits of `options`).
    ///
    /// # Errors
    /// It was not.
    pub fn subscribe(&mut self, filter: &str, options: u8) -> Result<()> {
        let codes = self.subscribe_with(&[(filter, options)], &Vec::new())?;
        ensure!(codes == [options & 3], "{filter} was answered with {codes:02X?} instead of QoS {}", options & 3);
        Ok(())
    }

    /// UNSUBSCRIBE, and the codes of its UNSUBACK (none in 3.1.1), whose id is checked.
    ///
    /// # Errors
    /// No such UNSUBACK came.
    pub fn unsubscribe<F: AsRef<[u8]>>(&mut self, filters: &[F]) -> Result<Vec<u8>> {
        let id = self.fresh_id();
        self.send(&packet::frame(0xA2, &packet::unsubscribe_body(self.version, id, filters)))?;
        match self.expect("UNSUBACK")? {
            Packet::UnsubAck(answer) => {
                ensure!(answer.id == id, "UNSUBACK of packet id {} instead of {id}", answer.id);
                let wanted = if self.version == Version::V5 { filters.len() } else { 0 };
                ensure!(answer.codes.len() == wanted, "{} codes in an UNSUBACK for {wanted}", answer.codes.len());
                Ok(answer.codes)
            }
            other => bail!("instead of UNSUBACK came {other:?}"),
        }
    }

    /// Sends a message with a fresh id and goes through its acknowledgements.
    ///
    /// # Errors
    /// They do not come.
    pub fn publish(&mut self, message: Publish) -> Result<()> {
        let id = self.fresh_id();
        let message = message.id(id);
        self.send(&message.bytes(self.version))?;
        match message.qos {
            0 => {}
            1 => {
                let code = self.hear_ack(PUBACK, id)?;
                ensure!(code < 0x80, "acknowledged with reason code 0x{code:02X}");
            }
            _ => {
                self.expect_ack(PUBREC, id)?;
                self.send(&packet::ack(PUBREL, id))?;
                self.expect_ack(PUBCOMP, id)?;
            }
        }
        Ok(())
    }

    /// DISCONNECT with that code, and the end.
    ///
    /// # Errors
    /// The server does not close.
    pub fn leave(mut self, code: u8, list: &Properties) -> Result<()> {
        self.send(&packet::disconnect(self.version, code, list))?;
        self.expect_closed().map(drop)
    }

    /// Ends the connection without a word, as a lost network does.
    pub fn drop_line(self) {
        // A socket that is gone already is what was wanted.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
