//! A server in a process of its own, which ends with its input, and is killed with its handle.

use std::{env, fs, net::SocketAddr, ops::Range, process::Stdio, sync::Arc, time::Duration};

use queue_server::auth::Key;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{sleep, timeout},
};
use uuid::Uuid;

use crate::{
    Failed,
    cli::Plan,
    machine,
    orders::{Answer, End, Order},
    serve::{Kind, SECRET},
    wire::Queue,
};

/// For anything that is sure to come.
const LONG: Duration = Duration::from_secs(120);
/// Between two looks at what is waited for.
const MOMENT: Duration = Duration::from_millis(2);
/// How long tokens are valid, in seconds.
const DAY: u64 = 24 * 3600;

/// Where a server keeps what it keeps.
#[derive(Debug)]
pub(crate) struct Home {
    dir: TempDir,
    key: Key,
    redis: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    key: Key,
    pub(crate) process: u32,
    pub(crate) address: SocketAddr,
    /// A token that may send.
    pub(crate) service: Arc<str>,
    /// Users that have queues.
    users: usize,
}

// ===== impl Home =====

impl Home {
    pub(crate) fn new(plan: &Plan) -> Result<Self, Failed> {
        let dir = tempfile::Builder::new().prefix("queue-load-").tempdir_in(&plan.dir)?;
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        fs::write(dir.path().join(SECRET), &secret)?;
        Ok(Self { dir, key: Key::secret(secret.as_bytes())?, redis: plan.redis.clone() })
    }

    /// Starts a server here. With one arena glibc leaves less unused: nearer to what is allocated.
    pub(crate) async fn start(&self, kind: Kind, one_arena: bool) -> Result<Server, Failed> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["serve", "--kind", kind.name(), "--dir"]).arg(self.dir.path());
        if let Some(url) = &self.redis {
            command.args(["--redis", url]);
        }
        if one_arena {
            command.env("MALLOC_ARENA_MAX", "1");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let orders = child.stdin.take().ok_or("no input")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let process = child.id().ok_or("no process")?;
        let service = self.key.token("queue-load", true, DAY).ok_or("no token")?.into();
        let mut server = Server {
            child,
            orders,
            answers,
            key: self.key.clone(),
            process,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            service,
            users: 0,
        };
        match server.answer().await? {
            Answer::Ready(address) => server.address = address,
            other => return Err(format!("the server does not listen: {other:?}").into()),
        }
        Ok(server)
    }
}

// ===== impl Server =====

impl Server {
    /// Makes queues, as many for each user.
    pub(crate) async fn create(
        &mut self,
        users: usize,
        each: usize,
        expire: Option<u64>,
    ) -> Result<Vec<Queue>, Failed> {
        let Answer::Names(names) = self.order(&Order::Create { users, each, expire }).await? else {
            return Err("no queues".into());
        };
        let of: Range<usize> = self.users..self.users + users;
        self.users = of.end;
        let mut queues = Vec::with_capacity(names.len());
        for (user, names) in of.zip(names.chunks(each)) {
            let token = self.key.token(&format!("u{user}"), false, DAY).ok_or("no token")?;
            let token: Arc<str> = token.into();
            queues.extend(names.iter().map(|name| Queue::new(name, &token)));
        }
        Ok(queues)
    }

    pub(crate) async fn parked(&mut self) -> Result<usize, Failed> {
        Ok(usize::try_from(self.number(&Order::Parked).await?)?)
    }

    /// Waits until exactly so many polls are parked.
    pub(crate) async fn until_parked(&mut self, polls: usize) -> Result<(), Failed> {
        let waiting = async {
            while self.parked().await? != polls {
                sleep(MOMENT).await;
            }
            Ok(())
        };
        if let Ok(done) = timeout(LONG, waiting).await {
            return done;
        }
        let parked = self.parked().await?;
        Err(format!(
            "{parked} polls are parked, where {polls} should be: is the machine too busy for so many clients?"
        )
        .into())
    }

    /// When these ended, after the first so many.
    pub(crate) async fn ends(&mut self, what: End, after: usize) -> Result<Vec<u64>, Failed> {
        self.numbers(&Order::Ends { what, after }).await
    }

    pub(crate) async fn number(&mut self, order: &Order) -> Result<u64, Failed> {
        match self.order(order).await? {
            Answer::Number(number) => Ok(number),
            other => Err(format!("{order:?} was answered by {other:?}").into()),
        }
    }

    pub(crate) async fn numbers(&mut self, order: &Order) -> Result<Vec<u64>, Failed> {
        match self.order(order).await? {
            Answer::Numbers(numbers) => Ok(numbers),
            other => Err(format!("{order:?} was answered by {other:?}").into()),
        }
    }

    pub(crate) async fn order(&mut self, order: &Order) -> Result<Answer, Failed> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Answer, Failed> {
        let line = timeout(LONG, self.answers.next_line()).await;
        let line = line.map_err(|_| format!("the server has not answered for {LONG:?}"))??;
        match serde_json::from_str(&line.ok_or("the server has ended")?)? {
            Answer::Failed(why) => Err(why.into()),
            answer => Ok(answer),
        }
    }

    pub(crate) fn resident(&self) -> Result<u64, Failed> {
        machine::resident(self.process)
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill(mut self) -> Result<(), Failed> {
        Ok(self.child.kill().await?)
    }

    /// Ends it, and waits for that.
    pub(crate) async fn end(self) -> Result<(), Failed> {
        let Self { mut child, orders, .. } = self;
        drop(orders);
        if timeout(Duration::from_secs(10), child.wait()).await.is_err() {
            child.kill().await?;
        }
        Ok(())
    }
}
