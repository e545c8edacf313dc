//! The callsites of one configuration.

use tracing::{
    Level, Span,
    level_filters::{LevelFilter, STATIC_MAX_LEVEL},
};

use super::{
    callsite::{Callsite, Shape, Values},
    shapes,
};
use crate::Role;

/// At which level what is told; `OFF` is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Levels {
    pub(super) span: LevelFilter,
    pub(super) events: LevelFilter,
    pub(super) summary: LevelFilter,
    pub(super) failure: LevelFilter,
}

/// Where an event comes from, if from anywhere.
#[derive(Clone, Copy)]
pub(super) struct Site(Option<&'static Callsite>);

pub(super) struct Sites {
    server: Site,
    client: Site,
    pub(super) begin: Site,
    pub(super) request_data: Site,
    pub(super) request_end: Site,
    pub(super) request_error: Site,
    pub(super) request_close: Site,
    pub(super) response: Site,
    pub(super) response_data: Site,
    pub(super) response_end: Site,
    pub(super) response_error: Site,
    pub(super) finish: Site,
    pub(super) disconnect: Site,
    pub(super) summary: Site,
    pub(super) failure: Site,
}

impl Levels {
    /// The events of single frames are one level finer than the others.
    pub(super) fn data(self) -> LevelFilter {
        match self.events.into_level() {
            None => LevelFilter::OFF,
            Some(Level::ERROR) => LevelFilter::WARN,
            Some(Level::WARN) => LevelFilter::INFO,
            Some(Level::INFO) => LevelFilter::DEBUG,
            Some(Level::DEBUG | Level::TRACE) => LevelFilter::TRACE,
        }
    }

    /// Whether it may ever be told: neither the user nor a feature of tracing has ruled it out.
    pub(super) fn is_on(level: LevelFilter) -> bool {
        level != LevelFilter::OFF && level <= STATIC_MAX_LEVEL
    }

    /// Whether nobody listens to anything of it. That is what most exchanges of a program without a subscriber ask.
    #[inline]
    pub(super) fn are_ignored(self) -> bool {
        let most = LevelFilter::current();
        [self.span, self.events, self.summary, self.failure]
            .iter()
            .all(|level| *level == LevelFilter::OFF || *level > most)
    }
}

impl Sites {
    pub(super) fn new(levels: Levels, target: &'static str) -> Self {
        let at = |level: LevelFilter, shape: &'static Shape| {
            Site(level.into_level().map(|level| Callsite::get(shape, level, target)))
        };
        let Levels { span, events, summary, failure } = levels;
        Self {
            server: at(span, &shapes::SERVER),
            client: at(span, &shapes::CLIENT),
            begin: at(events, &shapes::BEGIN),
            request_data: at(levels.data(), &shapes::REQUEST_DATA),
            request_end: at(events, &shapes::REQUEST_END),
            request_error: at(events, &shapes::REQUEST_ERROR),
            request_close: at(events, &shapes::REQUEST_CLOSE),
            response: at(events, &shapes::RESPONSE),
            response_data: at(levels.data(), &shapes::RESPONSE_DATA),
            response_end: at(events, &shapes::RESPONSE_END),
            response_error: at(events, &shapes::RESPONSE_ERROR),
            finish: at(events, &shapes::FINISH),
            disconnect: at(events, &shapes::DISCONNECT),
            summary: at(summary, &shapes::CLOSE),
            failure: at(failure, &shapes::CLOSE),
        }
    }

    pub(super) fn span(&self, role: Role) -> Site {
        match role {
            Role::Server => self.server,
            Role::Client => self.client,
        }
    }

    /// Whether a subscriber may want an event, although it wants no span.
    pub(super) fn may_tell(&self) -> bool {
        let sites = [
            self.summary,
            self.failure,
            self.begin,
            self.request_end,
            self.request_error,
            self.request_close,
            self.response,
            self.response_end,
            self.response_error,
            self.finish,
            self.disconnect,
            self.request_data,
            self.response_data,
        ];
        sites.into_iter().any(Site::may_be_enabled)
    }
}

impl Site {
    pub(super) fn may_be_enabled(self) -> bool {
        self.0.is_some_and(Callsite::may_be_enabled)
    }

    #[inline]
    pub(super) fn is_enabled(self, span: Option<&Span>) -> bool {
        self.0.is_some_and(|callsite| callsite.is_enabled(span))
    }

    /// `None` where no subscriber wants it.
    pub(super) fn span<const N: usize>(self, values: &Values<'_, N>) -> Option<Span> {
        self.0?.span(values)
    }

    pub(super) fn event<const N: usize>(self, span: Option<&Span>, values: &Values<'_, N>) {
        if let Some(callsite) = self.0 {
            callsite.event(span, values);
        }
    }
}
