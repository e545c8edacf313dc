//! What surrounds the work that is done for an exchange.

#[cfg(feature = "detach")]
use std::cell::RefCell;
use std::{
    panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use super::Panics;

/// Surrounds the work that is done for one exchange, wherever and whenever it is done: a span that is entered, a context that
/// is attached, a value that is set for the thread. A [`Listener`](crate::Listener) hands it out:
/// [`Listener::scope`](crate::Listener::scope).
///
/// Inside are `Service::call` of the inner service, every poll of its future and of the two bodies, and the drop of the
/// future and of the response's body. Hooks are outside.
///
/// Each [`enter`](Self::enter) is followed by an [`exit`](Self::exit) on the same thread, and what is entered in between is
/// left in between, also when a panic passes. It may be entered by two threads at once, when a task reads the request's body,
/// and while it is entered already, when a handler does. So what is to be kept from one to the other, such as a guard, is kept
/// in a stack of the thread.
///
/// Neither must block. A panic is caught, counted and handed to
/// [`LifecycleLayer::on_observer_panic`](crate::LifecycleLayer::on_observer_panic); where it is `enter` that panics, it is not
/// left either.
///
/// ```
/// use std::{cell::RefCell, sync::Arc};
/// use tower_lifecycle::{Listener, Observer, RequestHead, observe::Scope};
///
/// thread_local!(static TENANTS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) });
///
/// /// Lets whatever works for an exchange know its tenant.
/// struct Tenants;
/// struct Tenant(u64);
///
/// impl Observer for Tenants {
///     type State = Tenant;
///
///     fn begin(&self, head: &RequestHead<'_>) -> Option<Tenant> {
///         let tenant = head.headers.get("x-tenant")?;
///         Some(Tenant(tenant.to_str().ok()?.parse().ok()?))
///     }
/// }
///
/// impl Listener for Tenant {
///     fn scope(&mut self) -> Option<Arc<dyn Scope>> {
///         Some(Arc::new(Self(self.0)))
///     }
/// }
///
/// impl Scope for Tenant {
///     fn enter(&self) {
///         TENANTS.with_borrow_mut(|tenants| tenants.push(self.0));
///     }
///
///     fn exit(&self) {
///         TENANTS.with_borrow_mut(|tenants| tenants.pop());
///     }
/// }
/// ```
pub trait Scope: Send + Sync + 'static {
    /// Work for the exchange begins, or goes on, on this thread.
    fn enter(&self);

    /// It ends, or pauses.
    fn exit(&self);
}

/// One scope inside another.
struct Nested {
    outer: Arc<dyn Scope>,
    inner: Arc<dyn Scope>,
}

/// The scope of one exchange, whose panics are caught.
pub(crate) struct Scoped {
    scope: Arc<dyn Scope>,
    panics: Panics,
    /// Whose it is.
    observer: fn() -> &'static str,
}

/// Inside of a scope, until it is dropped.
pub(crate) struct Inside<'a>(Option<&'a Arc<Scoped>>);

#[cfg(feature = "detach")]
thread_local! {
    /// The scopes that this thread is inside of, from the outermost in.
    static ENTERED: RefCell<Vec<Arc<Scoped>>> = const { RefCell::new(Vec::new()) };
}

/// The first is entered first.
pub(super) fn nest(
    outer: Option<Arc<dyn Scope>>,
    inner: Option<Arc<dyn Scope>>,
) -> Option<Arc<dyn Scope>> {
    match (outer, inner) {
        (Some(outer), Some(inner)) => Some(Arc::new(Nested { outer, inner })),
        (outer, inner) => outer.or(inner),
    }
}

/// A panic of one is not to leave the other entered.
impl Scope for Nested {
    fn enter(&self) {
        self.outer.enter();
        let entered = catch_unwind(AssertUnwindSafe(|| self.inner.enter()));
        if let Err(thrown) = entered {
            self.outer.exit();
            resume_unwind(thrown);
        }
    }

    fn exit(&self) {
        let left = catch_unwind(AssertUnwindSafe(|| self.inner.exit()));
        self.outer.exit();
        if let Err(thrown) = left {
            resume_unwind(thrown);
        }
    }
}

impl Scoped {
    pub(super) fn new(
        scope: Arc<dyn Scope>,
        panics: Panics,
        observer: fn() -> &'static str,
    ) -> Self {
        Self { scope, panics, observer }
    }

    #[inline(never)]
    fn enter(&self) -> bool {
        self.panics.catch_scope(self.observer, || self.scope.enter())
    }

    #[inline(never)]
    fn exit(&self) {
        self.panics.catch_scope(self.observer, || self.scope.exit());
    }

    /// What surrounds the work that this thread does now, for what is handed to another task.
    #[cfg(feature = "detach")]
    pub(crate) fn here() -> Option<Arc<Self>> {
        let within = |outer: Arc<Self>, inner: Arc<Self>| {
            if Arc::ptr_eq(&outer, &inner) {
                return outer;
            }
            let (panics, observer) = (inner.panics.clone(), inner.observer);
            let [outer, inner] = [&outer, &inner].map(|scoped| Arc::clone(&scoped.scope));
            Arc::new(Self::new(Arc::new(Nested { outer, inner }), panics, observer))
        };
        ENTERED.with_borrow(|entered| entered.iter().cloned().reduce(within))
    }
}

impl<'a> Inside<'a> {
    /// Enters what surrounds the work, if something does.
    #[inline]
    pub(crate) fn of(scope: Option<&'a Arc<Scoped>>) -> Self {
        let scope = scope.filter(|scope| scope.enter());
        #[cfg(feature = "detach")]
        if let Some(scope) = scope {
            let _ = ENTERED.try_with(|entered| entered.borrow_mut().push(Arc::clone(scope)));
        }
        Self(scope)
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(scope) = self.0 {
            #[cfg(feature = "detach")]
            let _ = ENTERED.try_with(|entered| entered.borrow_mut().pop());
            scope.exit();
        }
    }
}

/// A panic never leaves a scope.
impl UnwindSafe for Scoped {}
impl RefUnwindSafe for Scoped {}
