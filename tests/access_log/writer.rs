//! The thread that writes: nobody waits for it, and what is lost is counted and told.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::Duration,
};

use tower_lifecycle::{
    LifecycleLayer,
    access_log::{Format, Writer},
};

use crate::{
    rig::{fields, get},
    support::panics,
};

/// Nothing in a test takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was written, behind a gate.
#[derive(Clone, Default)]
struct Paper(Arc<(Mutex<Sheet>, Condvar)>);

#[derive(Default)]
struct Sheet {
    bytes: Vec<u8>,
    shut: bool,
    /// Somebody is before the gate.
    waits: bool,
    flushes: usize,
    /// How the next writes fail: after so many bytes.
    faults: Vec<usize>,
}

impl Paper {
    fn shut() -> Self {
        let paper = Self::default();
        paper.0.0.lock().unwrap().shut = true;
        paper
    }

    fn open(&self) {
        self.0.0.lock().unwrap().shut = false;
        self.0.1.notify_all();
    }

    fn until_somebody_waits(&self) {
        let (sheet, change) = &*self.0;
        let (sheet, waited) = change
            .wait_timeout_while(sheet.lock().unwrap(), PATIENCE, |sheet| !sheet.waits)
            .unwrap();
        assert!(sheet.waits && !waited.timed_out());
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.0.lock().unwrap().bytes.clone()).unwrap()
    }

    /// The paths that are told of, and what else there is.
    fn lines(&self) -> Vec<String> {
        let of = |line: &str| {
            if line.starts_with('2') { fields(line).swap_remove(10) } else { line.to_owned() }
        };
        self.text().lines().map(of).collect()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (sheet, change) = &*self.0;
        let mut sheet = sheet.lock().unwrap();
        sheet.waits = sheet.shut;
        change.notify_all();
        let mut sheet = change.wait_while(sheet, |sheet| sheet.shut).unwrap();
        match sheet.faults.first_mut() {
            Some(0) => {
                sheet.faults.remove(0);
                Err(io::Error::other("the disk is full"))
            }
            Some(after) => {
                let more = bytes.len().min(*after);
                *after -= more;
                sheet.bytes.extend(&bytes[..more]);
                Ok(more)
            }
            None => {
                // Short writes are the ordinary ones.
                let more = bytes.len().min(1000);
                sheet.bytes.extend(&bytes[..more]);
                Ok(more)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.0.lock().unwrap().flushes += 1;
        Ok(())
    }
}

/// Waits for what the thread comes to.
fn until(is: impl Fn() -> bool) {
    for _ in 0..PATIENCE.as_millis() {
        if is() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("it does not come");
}

#[test]
fn the_drop_of_the_guard_writes_what_waits() {
    let paper = Paper::default();
    let (log, guard) = Writer::new(paper.clone()).patience(PATIENCE).start(Format::Text).unwrap();
    let layer = LifecycleLayer::new(log);
    for number in 0..100 {
        get(&layer, format!("/{number}"));
    }
    drop(guard);
    assert_eq!(paper.lines(), (0..100).map(|number| format!("/{number}")).collect::<Vec<_>>());
    assert!(paper.text().ends_with('\n'));
    assert!(paper.0.0.lock().unwrap().flushes > 0);
}

#[test]
fn who_logs_does_not_wait_for_a_writer_that_stands_still_and_the_log_says_how_many_lines_are_lost()
{
    for format in [Format::Text, Format::Json] {
        let paper = Paper::shut();
        let writer = Writer::new(paper.clone()).max_lines(10).patience(PATIENCE);
        let (log, guard) = writer.start(format).unwrap();
        let layer = LifecycleLayer::new(log);
        get(&layer, "/first");
        paper.until_somebody_waits();
        // Ten find a place, and twenty do not. All of them return.
        for number in 0..30 {
            get(&layer, format!("/{number}"));
        }
        assert_eq!(guard.lost(), 20);
        paper.open();
        until(|| paper.text().contains("lost"));
        get(&layer, "/last");
        assert_eq!(guard.close(), Some(20));

        let text = paper.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 10 + 1 + 1, "{text}");
        let said = if format == Format::Text { "# lines lost: 20" } else { r#"{"lost":20}"# };
        assert_eq!(lines[11], said, "it stands where they would have stood");
        assert!(lines[12].contains("/last"));
    }
}

#[test]
fn bytes_have_a_bound_too() {
    let paper = Paper::shut();
    let writer = Writer::new(paper.clone()).max_bytes(1000).patience(PATIENCE);
    let (log, guard) = writer.start(Format::Text).unwrap();
    let layer = LifecycleLayer::new(log);
    get(&layer, "/first");
    paper.until_somebody_waits();
    get(&layer, format!("/{}", "x".repeat(1000)));
    get(&layer, "/behind-a-lost-one");
    assert_eq!(guard.lost(), 2);
    paper.open();
    assert_eq!(guard.close(), Some(2));
    assert_eq!(paper.lines(), ["/first", "# lines lost: 2"]);
}

#[test]
fn a_write_that_fails_is_counted_and_the_next_one_is_tried() {
    let paper = Paper::shut();
    // In the middle of a line, and once more when the loss is to be told.
    paper.0.0.lock().unwrap().faults = vec![10, 0];
    let (log, guard) = Writer::new(paper.clone()).patience(PATIENCE).start(Format::Text).unwrap();
    let layer = LifecycleLayer::new(log);
    get(&layer, "/torn");
    paper.until_somebody_waits();
    paper.open();
    until(|| guard.errors() == 2);
    get(&layer, "/next");
    assert_eq!(guard.close(), Some(1));
    let text = paper.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!((lines[0].len(), lines[1]), (10, "# lines lost: 1"));
    assert!(lines[2].contains("/next"), "{text}");
}

#[test]
fn a_writer_that_always_fails_harms_nobody() {
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    let (log, guard) = Writer::new(Broken).patience(PATIENCE).start(Format::Json).unwrap();
    let layer = LifecycleLayer::new(log);
    for _ in 0..50 {
        get(&layer, "/");
    }
    assert_eq!(guard.close(), Some(50));
    assert_eq!(layer.observer_panics(), 0);
    get(&layer, "/after-the-end");
}

#[test]
fn a_writer_that_panics_ends_its_thread_and_nothing_else() {
    struct Bomb;

    impl Write for Bomb {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panics::boom()
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    panics::quiet();
    let (log, guard) = Writer::new(Bomb).patience(PATIENCE).start(Format::Text).unwrap();
    let layer = LifecycleLayer::new(log);
    for _ in 0..50 {
        get(&layer, "/");
    }
    assert_eq!(layer.observer_panics(), 0);
    // The one that it panicked on too.
    assert_eq!(guard.close(), Some(50));
}

#[test]
fn a_guard_does_not_wait_for_ever() {
    let paper = Paper::shut();
    let writer = Writer::new(paper.clone()).patience(Duration::from_millis(1));
    let (log, guard) = writer.start(Format::Text).unwrap();
    get(&LifecycleLayer::new(log), "/");
    paper.until_somebody_waits();
    assert_eq!(guard.close(), None);
    paper.open();
}

#[test]
fn what_comes_after_the_end_is_not_written() {
    let paper = Paper::shut();
    let writer = Writer::new(paper.clone()).patience(Duration::ZERO);
    let (log, guard) = writer.start(Format::Text).unwrap();
    let layer = LifecycleLayer::new(log);
    get(&layer, "/");
    paper.until_somebody_waits();
    drop(guard);
    get(&layer, "/late");
    paper.open();
    until(|| paper.text().ends_with("/ - -\n"));
    assert!(!paper.text().contains("/late"));
}

#[test]
fn the_lines_of_a_thread_keep_their_order() {
    const LINES: usize = 2_000;
    let paper = Paper::default();
    let (log, guard) = Writer::new(paper.clone()).patience(PATIENCE).start(Format::Text).unwrap();
    let (done, ends) = mpsc::channel();
    for name in ["a", "b", "c", "d"] {
        let (layer, done) = (LifecycleLayer::new(log.clone()), done.clone());
        thread::spawn(move || {
            for number in 0..LINES {
                get(&layer, format!("/{name}/{number}"));
            }
            done.send(()).unwrap();
        });
    }
    for _ in 0..4 {
        ends.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(guard.close(), Some(0));
    let lines = paper.lines();
    for name in ["a", "b", "c", "d"] {
        let of = format!("/{name}/");
        let numbers = lines.iter().filter_map(|line| line.strip_prefix(&of));
        let expected = (0..LINES).map(|number| number.to_string());
        assert!(numbers.map(str::to_owned).eq(expected), "{name}");
    }
}
