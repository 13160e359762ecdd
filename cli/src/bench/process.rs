//! The resource usage of processes on this machine, from /proc.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    time::Duration,
};

use serde::Serialize;

/// The clock tick of /proc: 100 a second on every Linux.
const TICK: Duration = Duration::from_millis(10);
/// `st` of a listening socket in /proc/net/tcp.
const LISTENING: &str = "0A";

/// The usage so far of a process, or of a process and its children.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Usage {
    /// On all processors.
    pub cpu: Duration,
    /// Bytes handed to the operating system to write, to files and sockets.
    pub written: u64,
    /// Bytes of memory that are in use at this moment and backed by no file.
    pub memory: u64,
}

/// A process to measure.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its name in the report.
    pub name: String,
    pid: u32,
    with_children: bool,
}

/// Fields of /proc/PID/stat.
struct Stat {
    parent: u32,
    own: Duration,
    waited_for: Duration,
}

impl Usage {
    /// The usage since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            written: self.written.saturating_sub(before.written),
            memory: self.memory.saturating_sub(before.memory),
        }
    }
}

impl Process {
    /// This process.
    pub fn own() -> Self {
        Self::new("bench", std::process::id())
    }

    /// A process by its id.
    pub fn new(name: &str, pid: u32) -> Self {
        Self { name: name.to_owned(), pid, with_children: false }
    }

    /// Includes its children: PostgreSQL has one for each connection.
    pub fn with_children(self) -> Self {
        Self { with_children: true, ..self }
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Finds the process that listens on a port of this machine. `None` where that is not visible.
    pub fn listening(name: &str, port: u16) -> Option<Self> {
        let socket = format!("socket:[{}]", listening_inode(port)?);
        let holds = |pid: &u32| {
            let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
            files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target == Path::new(&socket)))
        };
        pids().into_iter().find(holds).map(|pid| Self::new(name, pid))
    }

    /// Its usage so far. Zero when it is gone.
    pub fn usage(&self) -> Usage {
        let mut usage = usage(self.pid);
        if self.with_children {
            let stats: HashMap<u32, Stat> = pids().into_iter().filter_map(|pid| Some((pid, stat(pid)?))).collect();
            usage.cpu += stats.get(&self.pid).map(|stat| stat.waited_for).unwrap_or_default();
            for child in stats.iter().filter(|(_, stat)| stat.parent == self.pid).map(|(pid, _)| self::usage(*pid)) {
                usage.cpu += child.cpu;
                usage.written += child.written;
                usage.memory += child.memory;
            }
        }
        usage
    }
}

/// The usage of each so far, by name.
pub fn usages(processes: &[Process]) -> BTreeMap<String, Usage> {
    processes.iter().map(|process| (process.name.clone(), process.usage())).collect()
}

fn usage(pid: u32) -> Usage {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let written = io.lines().find_map(|line| line.strip_prefix("wchar:")?.trim().parse().ok());
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let cpu = stat(pid).map(|stat| stat.own).unwrap_or_default();
    Usage { cpu, written: written.unwrap_or(0), memory: parse_memory(&status).unwrap_or(0) }
}

fn parse_memory(status: &str) -> Option<u64> {
    let kib: u64 = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in parentheses may contain anything, so the fields are counted from its end.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |range: std::ops::Range<usize>| {
        let ticks = fields.get(range)?.iter().map(|field| field.parse::<u32>().ok()).sum::<Option<u32>>()?;
        Some(TICK * ticks)
    };
    Some(Stat { parent: fields.get(1)?.parse().ok()?, own: ticks(11..13)?, waited_for: ticks(13..15)? })
}

fn listening_inode(port: u16) -> Option<u64> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    tables.iter().find_map(|table| parse_sockets(&fs::read_to_string(table).ok()?, port))
}

fn parse_sockets(table: &str, port: u16) -> Option<u64> {
    let port = format!("{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let local = fields.get(1)?.rsplit_once(':')?.1;
        (local == port && *fields.get(3)? == LISTENING).then_some(())?;
        fields.get(9)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = parse_stat("7 (a) b (c)) S 3 7 7 0 -1 4194304 1 2 3 4 50 7 2 1 20 0 1 0 99").unwrap();
        assert_eq!((stat.parent, stat.own, stat.waited_for), (3, Duration::from_millis(570), Duration::from_millis(30)));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(parse_memory("VmRSS:\t  900 kB\nRssAnon:\t  20 kB\nRssFile:\t 880 kB\n"), Some(20 * 1024));
        assert_eq!(parse_memory(""), None);
    }

    #[test]
    fn who_listens_on_a_port_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(Process::listening("own", port).unwrap().pid(), std::process::id());
        drop(listener);
        assert!(Process::listening("own", port).is_none());
    }
}
