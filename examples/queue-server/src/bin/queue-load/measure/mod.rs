//! What is measured.

mod disconnect;
mod idle;
mod losses;
mod memory;
mod publish;
mod startup;
mod wake;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    Failed,
    cli::{Measure, Plan},
    machine,
    process::Server,
    report::{Report, Times},
    wire::{Conn, Queue, Shape},
};

/// All of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) report: &'a Report,
}

/// Connections that are opened before the server is waited for: fewer than its backlog, beyond which a connect takes a second.
const AT_ONCE: usize = 500;

impl Bench<'_> {
    pub(crate) async fn run(&self) -> Result<(), Failed> {
        let has = |measure| self.plan.has(measure);
        if has(Measure::Memory) {
            memory::measure(self).await?;
        }
        if has(Measure::Disconnect) {
            disconnect::measure(self).await?;
        }
        if has(Measure::Wake) {
            wake::measure(self).await?;
        }
        if has(Measure::Publish) {
            self.disk()?;
            publish::measure(self).await?;
        }
        if has(Measure::Losses) {
            losses::measure(self).await?;
        }
        if self.plan.redis.is_some() {
            // Redis removes what has expired, and starts by itself.
            return Ok(());
        }
        if has(Measure::Idle) {
            idle::measure(self).await?;
        }
        if has(Measure::Startup) {
            startup::measure(self).await?;
        }
        Ok(())
    }

    /// Parks a poll of each queue.
    async fn park(&self, server: &mut Server, queues: &[Queue]) -> Result<Vec<Conn>, Failed> {
        let before = server.parked().await?;
        let mut conns = Vec::with_capacity(queues.len());
        for queues in queues.chunks(AT_ONCE) {
            conns.extend(self.open(server, queues, Shape::Poll).await?);
            server.until_parked(before + conns.len()).await?;
        }
        Ok(conns)
    }

    /// Connects a client for each queue, which sends its poll.
    async fn open(
        &self,
        server: &Server,
        queues: &[Queue],
        shape: Shape,
    ) -> Result<Vec<Conn>, Failed> {
        let conns = stream::iter(queues).map(async |queue| {
            let mut conn = Conn::open(server.address).await?;
            conn.write(&queue.poll(-1, shape)).await?;
            self.report.step();
            Ok::<_, Failed>(conn)
        });
        conns.buffered(AT_ONCE).try_collect().await
    }

    /// What no durable store can beat.
    fn disk(&self) -> Result<(), Failed> {
        let times = Times::of(machine::sync_times(&self.plan.dir, self.plan.samples)?);
        let [p50, p99, max] = times.cells();
        self.report.say("");
        self.report.say(&format!(
            "A write of 4 KiB and `fdatasync` on this disk: p50 {p50}, p99 {p99}, max {max}."
        ));
        Ok(())
    }
}
