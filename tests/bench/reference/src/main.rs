//! The reference's crate: a worker of the benchmark (../worker.h).
use memmap2::Mmap;
use safetensors::slice::IndexOp;
use safetensors::{tensor::TensorView, Dtype, SafeTensors};
use std::collections::HashMap;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}
extern "C" {
    fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
}
#[cfg(target_os = "macos")]
const CLOCK_THREAD_CPUTIME_ID: i32 = 16;
#[cfg(not(target_os = "macos"))]
const CLOCK_THREAD_CPUTIME_ID: i32 = 3;

fn cpu_time() -> f64 {
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.seconds as f64 * 1e9 + time.nanoseconds as f64
}

fn status_line(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with(name)).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0.0) * 1024.0
}

/// Gives free memory back to the system, so that what remains in use is what a model keeps.
fn trim() {
    #[cfg(target_env = "gnu")]
    {
        extern "C" {
            fn malloc_trim(pad: usize) -> i32;
        }
        unsafe { malloc_trim(0) };
    }
}

fn map(path: &Path) -> Mmap {
    unsafe { Mmap::map(&File::open(path).expect("a file")).expect("a mapping") }
}

fn read(bytes: &[u8]) -> SafeTensors<'_> {
    SafeTensors::deserialize(black_box(bytes)).expect("a sound file")
}

/// A file, or the files of a directory.
fn files(path: &str) -> Vec<std::path::PathBuf> {
    if !Path::new(path).is_dir() {
        return vec![path.into()];
    }
    let entries = std::fs::read_dir(path).expect("a directory").map(|e| e.expect("an entry").path());
    let mut all: Vec<_> = entries.filter(|p| p.extension().map_or(false, |e| e == "safetensors")).collect();
    all.sort();
    all
}

/// What outlives one request.
#[derive(Default)]
struct Kept {
    path: String,
    file: Option<Mmap>,
    names: Vec<String>,
    buffer: Vec<u8>,
}

impl Kept {
    fn hold(&mut self, path: &str) {
        if self.path != path {
            self.file = Some(map(Path::new(path)));
            let names = std::fs::read_to_string(format!("{path}.names")).unwrap_or_default();
            self.names = names.lines().map(String::from).collect();
            self.path = path.into();
        }
    }
    fn contents(&self) -> &[u8] {
        self.file.as_deref().expect("a file")
    }
    fn buffer(&mut self, bytes: usize) -> &mut [u8] {
        if self.buffer.len() < bytes {
            self.buffer = vec![1; bytes];
        }
        &mut self.buffer[..bytes]
    }
}

/// Copies the tensors whose names begin with prefix out of the mapping, one after the other.
fn load(kept: &mut Kept, path: &str, prefix: &str) -> f64 {
    let mapping = map(Path::new(path));
    let model = read(&mapping);
    let buffer = kept.buffer(mapping.len());
    let mut at = 0;
    for (name, tensor) in model.iter() {
        if name.starts_with(prefix) {
            buffer[at..at + tensor.data().len()].copy_from_slice(tensor.data());
            at += tensor.data().len();
        }
    }
    at as f64
}

fn view(kept: &mut Kept, path: &str, step: usize, columns: std::ops::Range<usize>) -> f64 {
    let mapping = map(Path::new(path));
    let model = read(&mapping);
    let tensor = model.tensor("m").expect("the matrix");
    let buffer = kept.buffer(mapping.len());
    let mut at = 0;
    let mut take = |part: safetensors::slice::SliceIterator<'_>| {
        for run in part {
            buffer[at..at + run.len()].copy_from_slice(run);
            at += run.len();
        }
    };
    if step == 1 {
        take(tensor.slice((.., columns)).expect("a slice"));
    } else {
        for row in (0..tensor.shape()[0]).step_by(step) {
            take(tensor.slice((row..row + 1, columns.clone())).expect("a slice"));
        }
    }
    at as f64
}

fn save(kept: &mut Kept, path: &str, bytes: usize, flush: bool) -> f64 {
    let data = kept.buffer(bytes);
    let part = bytes / 4;
    let tensor = |i: usize| TensorView::new(Dtype::U8, vec![part], &data[part * i..part * (i + 1)]).expect("a tensor");
    let tensors: HashMap<&str, TensorView> = ["a", "b", "c", "d"].into_iter().zip((0..4).map(tensor)).collect();
    safetensors::serialize_to_file(tensors, None, Path::new(path)).expect("a file saved");
    if flush {
        File::open(path).and_then(|f| f.sync_all()).expect("a file flushed");
    }
    bytes as f64
}

/// A BF16 of each name.
fn save_names(kept: &Kept) -> f64 {
    let data = [0u8; 2];
    let tensor = || TensorView::new(Dtype::BF16, vec![1], &data).expect("a tensor");
    let tensors: Vec<(&String, TensorView)> = kept.names.iter().map(|name| (name, tensor())).collect();
    safetensors::serialize(tensors, None).expect("bytes of a file").len() as f64
}

/// Opens a file or the files of a directory and returns the number of tensors; `opened` runs while they are open.
fn open(path: &str, opened: impl FnOnce()) -> f64 {
    let mappings: Vec<Mmap> = files(path).iter().map(|p| map(p)).collect();
    let models: Vec<SafeTensors> = mappings.iter().map(|m| read(m)).collect();
    opened();
    models.iter().map(|m| m.len()).sum::<usize>() as f64
}

/// Returns the work done and, where the workload measures memory, bytes kept and at the peak; None: no such workload.
fn act(kept: &mut Kept, words: &[&str]) -> Option<(f64, f64, f64)> {
    let number = |i: usize| words[i].parse::<usize>().expect("a number");
    let work = match words[0] {
        "parse" => {
            kept.hold(words[1]);
            read(kept.contents()).len() as f64
        }
        "open" => open(words[1], || ()),
        "memory" => {
            let (anonymous, resident) = (status_line("RssAnon:"), status_line("VmRSS:"));
            let (mut now, mut peak) = (0.0, 0.0);
            let count = open(words[1], || {
                peak = status_line("VmHWM:") - resident;
                trim();
                now = status_line("RssAnon:") - anonymous;
            });
            return Some((count, now, peak));
        }
        "load" if words[2] == "1" => load(kept, words[1], ""),
        "layer" => load(kept, words[1], words[2]),
        "view" => view(kept, words[1], number(2), number(3)..number(4)),
        "save" => save(kept, words[1], number(2), words[3] == "1"),
        "names" => {
            kept.hold(words[1]);
            kept.names.len() as f64
        }
        "save-names" => save_names(kept),
        _ => return None,
    };
    Some((work, 0.0, 0.0))
}

/// Looks up every name. The time does not include opening the file.
fn find(kept: &Kept) {
    let model = read(kept.contents());
    let (wall, cpu) = (Instant::now(), cpu_time());
    let (mut work, mut times) = (0, 0);
    while times == 0 || wall.elapsed().as_millis() < 10 {
        work = kept.names.iter().map(|n| black_box(model.tensor(n).expect("a tensor")).data().len()).sum();
        times += 1;
    }
    let wall = wall.elapsed().as_nanos() as f64;
    println!("ok {:.0} {:.0} {work} 0 0", wall / times as f64, (cpu_time() - cpu) / times as f64);
}

fn main() {
    let mut kept = Kept::default();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let once = words[0] == "once";
        words.drain(..once as usize);
        if words[0] == "find" {
            kept.hold(words[1]);
            find(&kept);
            continue;
        }
        let (wall, cpu) = (Instant::now(), cpu_time());
        let (mut done, mut times) = (None, 0);
        while times == 0 || (!once && done.is_some() && wall.elapsed().as_millis() < 10) {
            done = act(&mut kept, &words);
            times += 1;
        }
        let (cpu, wall) = (cpu_time() - cpu, wall.elapsed().as_nanos() as f64);
        match done {
            None => println!("no such workload"),
            Some((work, now, peak)) => {
                println!("ok {:.0} {:.0} {work} {now:.0} {peak:.0}", wall / times as f64, cpu / times as f64)
            }
        }
        std::io::stdout().flush().expect("an output");
    }
}
