//! Makes a table of the web app's built files (`web/dist`), so that `http/page.rs` has them in the binary without naming each: their
//! names change with what is in them.

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Content types by the end of the name; a file of another kind stops the build.
const TYPES: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("webmanifest", "application/manifest+json"),
];

fn main() {
    let dist = PathBuf::from(env("CARGO_MANIFEST_DIR")).join("web/dist");
    println!("cargo:rerun-if-changed={}", dist.display());
    let mut paths = files(&dist);
    paths.sort();
    let mut table = String::from("&[\n");
    for path in paths.iter().filter(|path| !is_compressed(path)) {
        println!("cargo:rerun-if-changed={}", path.display());
        entry(&mut table, &dist, path);
    }
    table.push_str("]\n");
    fs::write(PathBuf::from(env("OUT_DIR")).join("parts.rs"), table).expect("the table is written");
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{} is not there ({error}): run 'npm ci && npm run build' in ws-adapter/web", directory.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

fn is_compressed(path: &Path) -> bool {
    matches!(extension(path), "br" | "gz")
}

fn entry(table: &mut String, dist: &Path, path: &Path) {
    let below = path.strip_prefix(dist).expect("below dist").to_str().expect("UTF-8");
    let served = if below == "index.html" { "/".to_owned() } else { format!("/{below}") };
    let (_, content_type) = TYPES.iter().find(|(end, _)| *end == extension(path)).unwrap_or_else(|| panic!("{below} is of no known type"));
    let mut hasher = DefaultHasher::new();
    fs::read(path).expect("a file").hash(&mut hasher);
    // The build puts a hash into the names of scripts and styles: under such a name there is never anything else.
    let immutable = below.starts_with("assets/") && matches!(extension(path), "js" | "css");
    let included = |path: &Path| format!("include_bytes!({path:?})");
    let compressed = |end: &str| {
        let path = PathBuf::from(format!("{}.{end}", path.display()));
        if path.is_file() { format!("Some({})", included(&path)) } else { "None".to_owned() }
    };
    writeln!(
        table,
        "    Part {{ path: {served:?}, content_type: {content_type:?}, tag: \"W/\\\"{:016x}\\\"\", immutable: {immutable}, plain: {}, brotli: {}, gzip: {} }},",
        hasher.finish(),
        included(path),
        compressed("br"),
        compressed("gz"),
    )
    .expect("a String takes everything");
}
