//! Callsites whose level and target are given at run time, where tracing's macros want constants.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, AtomicU8, Ordering},
};

use tracing::{
    Dispatch, Event, Level, Metadata, Span,
    callsite::{self, Identifier},
    dispatcher,
    field::{FieldSet, Value},
    level_filters::{LevelFilter, STATIC_MAX_LEVEL},
    metadata::Kind,
    subscriber::{Interest, NoSubscriber},
};

use super::TARGET;

/// What a callsite is but for its level and target.
pub(super) struct Shape {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    pub(super) fields: &'static [&'static str],
}

/// A place that spans or events come from. It lives for ever, as those of the macros do: there is one for each shape, level and
/// target that a program is configured with.
pub(super) struct Callsite {
    metadata: OnceLock<Metadata<'static>>,
    registered: AtomicBool,
    interest: AtomicU8,
}

/// The values of a callsite's fields, in their order.
pub(super) type Values<'a, const N: usize> = [Option<&'a dyn Value>; N];

/// More targets than a program has. Those that come later are the default one.
const MOST: usize = 4096;

static INTERNED: Mutex<Vec<&'static Callsite>> = Mutex::new(Vec::new());

const NEVER: u8 = 0;
const SOMETIMES: u8 = 1;
const ALWAYS: u8 = 2;
const UNKNOWN: u8 = u8::MAX;

impl Callsite {
    /// The one of this shape, level and target.
    pub(super) fn get(shape: &'static Shape, level: Level, target: &'static str) -> &'static Self {
        let mut interned = INTERNED.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |target| {
            move |callsite: &&&'static Self| {
                let metadata = callsite.metadata();
                (metadata.name(), metadata.level(), metadata.target())
                    == (shape.name, &level, target)
            }
        };
        if let Some(known) = interned.iter().find(of(target)) {
            return known;
        }
        let target = if interned.len() < MOST { target } else { TARGET };
        if let Some(known) = interned.iter().find(of(target)) {
            return known;
        }
        let made = Self::leak(shape, level, target);
        interned.push(made);
        made
    }

    fn leak(shape: &Shape, level: Level, target: &'static str) -> &'static Self {
        let callsite: &'static Self = Box::leak(Box::new(Self {
            metadata: OnceLock::new(),
            registered: AtomicBool::new(false),
            interest: AtomicU8::new(UNKNOWN),
        }));
        let module = Some(module_path!());
        callsite.metadata.get_or_init(|| {
            let fields = FieldSet::new(shape.fields, Identifier(callsite));
            let kind = shape.kind.clone();
            Metadata::new(shape.name, target, level, None, None, module, fields, kind)
        });
        callsite
    }

    fn metadata(&self) -> &Metadata<'static> {
        self.metadata.get().expect("set before anybody has the callsite")
    }

    /// Whether a subscriber may want what comes from here. It is not asked, because some take a question for the announcement
    /// of a span or an event.
    #[inline]
    pub(super) fn may_be_enabled(&'static self) -> bool {
        let level = *self.metadata().level();
        level <= STATIC_MAX_LEVEL && level <= LevelFilter::current() && !self.interest().is_never()
    }

    /// Whether a subscriber wants what follows at once: that of `span`, where there is one, else the current one.
    #[inline]
    pub(super) fn is_enabled(&'static self, span: Option<&Span>) -> bool {
        self.may_be_enabled()
            && (self.interest().is_always()
                || dispatch(span, |dispatch| dispatch.enabled(self.metadata())))
    }

    /// A span with these values, inside the current one; `None` where no subscriber wants it.
    pub(super) fn span<const N: usize>(&'static self, values: &Values<'_, N>) -> Option<Span> {
        let metadata = self.metadata();
        let make = || Span::new(metadata, &metadata.fields().value_set_all(values));
        self.is_enabled(None).then(make).filter(|span| !span.is_disabled())
    }

    /// Sends an event of `span`, or where there is none of the current one.
    pub(super) fn event<const N: usize>(
        &'static self,
        span: Option<&Span>,
        values: &Values<'_, N>,
    ) {
        let metadata = self.metadata();
        let values = metadata.fields().value_set_all(values);
        match span.and_then(Span::id) {
            Some(id) => dispatch(span, |dispatch| {
                dispatch.event(&Event::new_child_of(id.clone(), metadata, &values));
            }),
            None => Event::dispatch(metadata, &values),
        }
    }

    fn interest(&'static self) -> Interest {
        // Whoever comes while another thread registers it asks the subscriber. So does who has none: a sole subscriber is looked
        // for in the thread that registers, and without it nobody would hear of this any more.
        if self.interest.load(Ordering::Relaxed) == UNKNOWN
            && dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>())
            && !self.registered.swap(true, Ordering::AcqRel)
        {
            callsite::register(self);
        }
        match self.interest.load(Ordering::Relaxed) {
            NEVER => Interest::never(),
            ALWAYS => Interest::always(),
            _ => Interest::sometimes(),
        }
    }
}

impl callsite::Callsite for Callsite {
    fn set_interest(&self, interest: Interest) {
        let interest = match () {
            () if interest.is_never() => NEVER,
            () if interest.is_always() => ALWAYS,
            () => SOMETIMES,
        };
        self.interest.store(interest, Ordering::SeqCst);
    }

    fn metadata(&self) -> &Metadata<'_> {
        self.metadata()
    }
}

/// The hooks of an exchange run on any thread, which may have another subscriber than its span.
fn dispatch<T>(span: Option<&Span>, tell: impl Fn(&Dispatch) -> T) -> T {
    span.and_then(|span| span.with_subscriber(|(_, dispatch)| tell(dispatch)))
        .unwrap_or_else(|| dispatcher::get_default(tell))
}

/// Puts values where their fields are.
#[inline]
pub(super) fn place<'a, const N: usize>(values: &[(usize, &'a dyn Value)]) -> Values<'a, N> {
    let mut placed = [None; N];
    for (field, value) in values {
        placed[*field] = Some(*value);
    }
    placed
}
