//! The clients: a process of their own, so that they do not take the server's descriptors. It is told line by line what to do.

use std::{
    env, fmt,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    ops::Range,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{
    Failed,
    os::{now, resets},
    words::{Shape, Way},
};

/// Clients of one address: each takes a port, of which there are about 28,000, and looks the longer for one the more are taken.
pub(crate) const OF_ADDRESS: usize = 5_000;

// ===== the server's side =====

/// The process of the clients. It ends with its input.
pub(crate) struct Clients {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Clients {
    pub(crate) fn start(addresses: &[SocketAddr]) -> Result<Self, Failed> {
        let mut process = Command::new(env::current_exe()?)
            .arg("clients")
            .args(addresses.iter().map(ToString::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take().ok_or("no input")?;
        let answers = BufReader::new(process.stdout.take().ok_or("no output")?);
        Ok(Self { process, orders, answers })
    }

    /// Connects these clients, each of which sends its request.
    pub(crate) fn park(&mut self, shape: Shape, ids: Range<usize>) -> Result<(), Failed> {
        self.order(format_args!("park\t{}\t{}\t{}", shape.name(), ids.start, ids.end)).map(drop)
    }

    /// Closes the connection of this client, and says when.
    pub(crate) fn leave(&mut self, id: usize, way: Way) -> Result<u64, Failed> {
        self.order(format_args!("leave\t{id}\t{}", way.name()))
    }

    /// Closes all connections, and says when it came to the last one.
    pub(crate) fn vanish(&mut self) -> Result<u64, Failed> {
        self.order(format_args!("vanish"))
    }

    fn order(&mut self, order: fmt::Arguments<'_>) -> Result<u64, Failed> {
        writeln!(self.orders, "{order}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        answer.trim().parse().map_err(|_| format!("the clients failed to {order}").into())
    }

    pub(crate) fn end(self) -> io::Result<()> {
        let Self { mut process, orders, .. } = self;
        drop(orders);
        process.wait().map(drop)
    }
}

// ===== the clients' side =====

/// Does what the input says, and answers each line with the time.
pub(crate) fn run(addresses: &[&str]) -> Result<(), Failed> {
    let addresses = addresses.iter().map(|address| address.parse());
    let addresses: Vec<SocketAddr> = addresses.collect::<Result<_, _>>()?;
    let mut clients: Vec<Option<TcpStream>> = Vec::new();
    for order in io::stdin().lines() {
        let order = order?;
        let words: Vec<&str> = order.split('\t').collect();
        let at = match words[..] {
            ["park", shape, from, to] => {
                let shape = shape.parse()?;
                for id in from.parse()?..to.parse()? {
                    clients.push(Some(connect(&addresses, shape, id)?));
                }
                now()
            }
            ["leave", id, way] => {
                let client = clients.get_mut(id.parse::<usize>()?).and_then(Option::take);
                let client = client.ok_or("it has left before")?;
                if way.parse::<Way>()? == Way::Rst {
                    resets(&client)?;
                }
                let at = now();
                drop(client);
                at
            }
            ["vanish"] => {
                let last = clients.iter_mut().rev().find_map(Option::take);
                clients.clear();
                let at = now();
                drop(last);
                at
            }
            _ => return Err(order.into()),
        };
        writeln!(io::stdout(), "{at}")?;
    }
    Ok(())
}

fn connect(addresses: &[SocketAddr], shape: Shape, id: usize) -> Result<TcpStream, Failed> {
    let address = addresses.get(id / OF_ADDRESS).ok_or("no address")?;
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request(shape, id).as_bytes())?;
    Ok(stream)
}

fn request(shape: Shape, id: usize) -> String {
    match shape {
        Shape::Poll => format!("GET /polls/{id} HTTP/1.1\r\nhost: parked\r\n\r\n"),
        Shape::Pipelined => format!("GET /polls/{id} HTTP/1.1\r\nhost: parked\r\n\r\nG"),
        Shape::HalfBody => {
            format!("POST /polls/{id} HTTP/1.1\r\nhost: parked\r\ncontent-length: 10\r\n\r\n12345")
        }
    }
}
