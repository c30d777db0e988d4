//! A name server, and the question to it.

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{net::UdpSocket, task::JoinHandle};

use crate::server::lock;

/// The longest message over UDP (RFC 1035 §2.3.4).
const LONGEST: usize = 512;

/// Bytes of a message's head (RFC 1035 §4.1.1).
const HEAD: usize = 12;

/// The record type of IPv4 addresses, and the class of the Internet.
const ADDRESS_OF_INTERNET: [u8; 4] = [0, 1, 0, 1];

/// A loopback DNS server over UDP, which answers every name as it is told. It stops when dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Script {
    answers: VecDeque<Vec<Ipv4Addr>>,
    asked: usize,
}

impl Script {
    /// The last answer is given again and again.
    fn next(&mut self) -> Vec<Ipv4Addr> {
        self.asked += 1;
        match self.answers.len() {
            0 | 1 => self.answers.front().cloned().unwrap_or_default(),
            _ => self.answers.pop_front().unwrap_or_default(),
        }
    }
}

impl NameServer {
    /// Starts one that gives these answers one after another.
    ///
    /// # Panics
    ///
    /// When the machine has no port left.
    pub async fn start(answers: impl IntoIterator<Item = Vec<Ipv4Addr>>) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let answers = answers.into_iter().collect();
        let script = Arc::new(Mutex::new(Script { answers, asked: 0 }));
        let serving = tokio::spawn(serve(socket, Arc::clone(&script)));
        Self { address, script, serving }
    }

    /// Where it is asked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        lock(&self.script).asked
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(socket: UdpSocket, script: Arc<Mutex<Script>>) {
    let mut query = [0; LONGEST];
    while let Ok((length, asker)) = socket.recv_from(&mut query).await {
        let addresses = lock(&script).next();
        if let Some(reply) = reply(&query[..length], &addresses) {
            let _ = socket.send_to(&reply, asker).await;
        }
    }
}

fn reply(query: &[u8], addresses: &[Ipv4Addr]) -> Option<Vec<u8>> {
    let question = query.get(HEAD..end_of_name(query, HEAD)? + 4)?;
    let count = u8::try_from(addresses.len()).ok()?;
    let mut reply = query.get(..2)?.to_vec();
    // A response to a recursive question, without error; one question, so many answers.
    reply.extend([0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0]);
    reply.extend(question);
    for address in addresses {
        // The question's name, an address that is true for no time at all.
        reply.extend([0xc0, 12]);
        reply.extend(ADDRESS_OF_INTERNET);
        reply.extend([0, 0, 0, 0, 0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}

/// The first byte after a name, which ends in an empty label or in a pointer.
fn end_of_name(message: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length >= 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

/// Asks a name server for the addresses of a name.
pub async fn ask(server: SocketAddr, name: &str) -> io::Result<Vec<Ipv4Addr>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut query = vec![0x6d, 0x63, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        query.push(u8::try_from(label.len()).map_err(io::Error::other)?);
        query.extend(label.bytes());
    }
    query.push(0);
    query.extend(ADDRESS_OF_INTERNET);
    socket.send_to(&query, server).await?;
    let mut reply = [0; LONGEST];
    let (length, _) = socket.recv_from(&mut reply).await?;
    addresses(&reply[..length]).ok_or_else(|| io::Error::other("not a reply"))
}

fn addresses(reply: &[u8]) -> Option<Vec<Ipv4Addr>> {
    let count = *reply.get(7)?;
    let mut at = end_of_name(reply, HEAD)? + 4;
    let mut addresses = Vec::new();
    for _ in 0..count {
        let record = end_of_name(reply, at)?;
        let octets: [u8; 4] = reply.get(record + 10..record + 14)?.try_into().ok()?;
        addresses.push(Ipv4Addr::from(octets));
        at = record + 14;
    }
    Some(addresses)
}
