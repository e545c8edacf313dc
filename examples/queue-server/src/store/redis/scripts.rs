//! The steps that are atomic, as Redis runs them. What each promises is at the top of its file.

use std::sync::LazyLock;

use redis::Script;

/// All of them.
pub(super) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts {
    // The others go on when Redis has no memory left, and may free some.
    create: script!("", "create"),
    append: script!("", "append"),
    ready: script!("", "ready"),
    session: script!(" flags=allow-oom", "session"),
    begin: script!(" flags=allow-oom", "begin"),
    read: script!(" flags=allow-oom", "read"),
    end: script!(" flags=allow-oom", "end"),
    remove: script!(" flags=allow-oom", "remove"),
});

/// One a file.
pub(super) struct Scripts {
    pub(super) create: Script,
    pub(super) session: Script,
    pub(super) begin: Script,
    pub(super) read: Script,
    pub(super) end: Script,
    pub(super) append: Script,
    pub(super) remove: Script,
    pub(super) ready: Script,
}

macro_rules! script {
    ($flags:literal, $name:literal) => {
        Script::new(concat!(
            "#!lua",
            $flags,
            "\n",
            include_str!("scripts/layout.lua"),
            include_str!(concat!("scripts/", $name, ".lua")),
        ))
    };
}
use script;
