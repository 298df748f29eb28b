//! The same for the reference's crate: reference REPEATS FILE...
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// counting costs time, so it is done in a pass of its own
static COUNT: AtomicUsize = AtomicUsize::new(0);

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNT.load(Relaxed) != 0 {
            let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
            PEAK.fetch_max(live, Relaxed);
        }
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if COUNT.load(Relaxed) != 0 {
            LIVE.fetch_sub(layout.size(), Relaxed);
        }
        System.dealloc(pointer, layout)
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if COUNT.load(Relaxed) != 0 {
            let live = LIVE.fetch_add(bytes, Relaxed) + bytes - layout.size();
            LIVE.fetch_sub(layout.size(), Relaxed);
            PEAK.fetch_max(live, Relaxed);
        }
        System.realloc(pointer, layout, bytes)
    }
}
#[global_allocator]
static ALLOCATOR: Counting = Counting;

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

fn now() -> f64 {
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.seconds as f64 * 1e9 + time.nanoseconds as f64
}

fn measure_memory(bytes: &[u8]) -> usize {
    COUNT.store(1, Relaxed);
    LIVE.store(0, Relaxed);
    PEAK.store(0, Relaxed);
    let opened = safetensors::SafeTensors::deserialize(bytes).expect("a sound file");
    let (live, peak, count) = (LIVE.load(Relaxed), PEAK.load(Relaxed), opened.len());
    drop(opened);
    COUNT.store(0, Relaxed);
    println!("rust-kept {} {:.1}", count, live as f64 / count as f64);
    println!("rust-peak {} {:.1}", count, peak as f64 / count as f64);
    count
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let repeats: i32 = arguments.next().and_then(|a| a.parse().ok()).expect("usage: reference REPEATS FILE...");
    for path in arguments {
        let bytes = std::fs::read(&path).expect("a file");
        let count = measure_memory(&bytes);
        for i in -1..repeats {
            let start = now();
            drop(std::hint::black_box(safetensors::SafeTensors::deserialize(std::hint::black_box(&bytes))));
            let end = now();
            if i >= 0 {
                println!("rust-memory {} {:.1}", count, (end - start) / count as f64);
            }
        }
    }
}
