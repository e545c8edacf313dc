//! Calling out for connections where nobody does so after each poll.

use std::sync::Arc;

use tokio::{runtime::Handle, task::yield_now};

use super::Context;

/// How often the other tasks of the runtime are let run before what is not known is given up: some milliseconds, in which a
/// connection that lives has long been polled.
const PATIENCE: u32 = 4096;

/// Tells exchanges what their connection has shown, in a task that lives only as long as some wait for that. It calls nobody
/// itself, because it may be under a lock of h2. Without a runtime they wait for the end of the transport.
pub(super) fn attend(context: &Arc<Context>) {
    if context.queue.is_attended() {
        return;
    }
    let Ok(runtime) = Handle::try_current() else { return };
    let mut attendance = Attendance { context: Arc::clone(context), begun: false };
    runtime.spawn(async move {
        attendance.begun = true;
        let context = &attendance.context;
        while context.queue.attend() {
            let mut patience = PATIENCE;
            yield_now().await;
            while context.settle() && patience > 0 {
                patience -= 1;
                context.wake();
                yield_now().await;
            }
            context.queue.attended(patience > 0);
        }
    });
}

/// Whatever becomes of the task, such as the end of its runtime, nobody is left waiting for it.
struct Attendance {
    context: Arc<Context>,
    /// A task that has not begun may be dropped where it was to be spawned.
    begun: bool,
}

impl Drop for Attendance {
    fn drop(&mut self) {
        if self.begun {
            self.context.settle_late();
        }
    }
}
