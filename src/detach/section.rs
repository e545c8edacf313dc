//! Critical sections.

use std::future::Future;

use super::{future::joined, surrounded::Surrounded};

/// A critical section, such as a commit, which once polled runs to its end, even if whoever awaits it is dropped.
///
/// The first poll moves the section to a task of its own; before that nothing has happened. Its output and its panic come
/// out here, or are dropped with the task when nobody awaits them any more. Dropping the future is always safe: either
/// nothing has happened, or everything will. A grace does not bound it.
///
/// # What it cannot do
/// - Outlive its runtime: one that is shut down drops the section at its next await. [`Detached::shield`] lets a program wait
///   for it before; whoever still awaits it panics.
/// - Outlive the process: `main` returned, `exit`, `abort`, a signal, a power cut. What has to be all or nothing beyond that
///   needs a transaction or a log.
/// - End by itself: a section that hangs, hangs for ever and keeps what it holds. Put a timeout *inside*, around what may
///   be given up. One around the shield gives up waiting, not the section.
/// - Survive its own panic: what it did until then is done.
/// - Borrow, or take task-locals and a tracing span of the handler's own along. What surrounds the exchange, such as its span,
///   is taken along: [`Scope`](crate::observe::Scope).
///
/// # Panics
/// When polled outside of a tokio runtime, when the section panics, with its payload, and when the runtime was shut down
/// before the end of the section.
///
/// # Cancel safety
/// It is what makes a section cancel safe.
///
/// [`Detached::shield`]: super::Detached::shield
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use tower_lifecycle::detach::shield;
///
/// let total = shield(async { 40 + 2 }).await;
/// assert_eq!(total, 42);
/// # }
/// ```
#[expect(clippy::manual_async_fn, reason = "`must_use` on an `async fn` is about its output")]
#[must_use = "a section does not begin before it is polled"]
pub fn shield<F>(section: F) -> impl Future<Output = F::Output> + Send
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    async { joined(tokio::spawn(Surrounded::new(section)).await) }
}
