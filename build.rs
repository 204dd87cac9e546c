//! Build script: provides the ONNX Runtime library, and stamps the version.
//!
//! `ort` is used with `load-dynamic`: the program opens the library when it runs, so a build without the library is a
//! good build, and nothing in here fails. Whatever goes wrong becomes one warning; the next build tries again.
//!
//! The library comes, in this order, from
//! 1. `ORT_DYLIB_PATH`: the user provides it, nothing to do;
//! 2. the per-user cache (`src/backbone/runtime/location.rs` says where);
//! 3. what an earlier build left beside the executable, if the cache was deleted;
//! 4. the wheel on the Python package index, fetched by pip, which verifies the SHA-256 pinned below.
//!
//! It is then hard-linked (else copied) to where Cargo puts executables, tests and examples, so that they find it
//! without any set-up. `GRAFT_ORT_PACKAGE=onnxruntime-gpu` or `onnxruntime-directml` selects a wheel with more execution
//! providers. There are no build-dependencies: pip needs Python anyway, and Python unpacks wheels.

#![allow(clippy::print_stdout, reason = "Cargo reads what a build script prints")]

use std::{
    env,
    ffi::OsStr,
    fmt, fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, SystemTime},
};

#[path = "src/backbone/runtime/location.rs"]
mod location;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/backbone/runtime/location.rs");
    for name in ["ORT_DYLIB_PATH", "GRAFT_ORT_PACKAGE", "XDG_CACHE_HOME", "LOCALAPPDATA", "DOCS_RS"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    stamp_version();
    if is_set("DOCS_RS") {
        return;
    }
    let package = env::var("GRAFT_ORT_PACKAGE").ok().filter(|name| !name.is_empty());
    let package = package.as_deref().unwrap_or("onnxruntime");
    let result = Wheel::select(package).and_then(|wheel| {
        // The program looks for this folder in the cache, and shows the version.
        println!("cargo::rustc-env=GRAFT_ORT_FOLDER={}", wheel.folder());
        println!("cargo::rustc-env=GRAFT_ORT_VERSION={}", wheel.version);
        if is_set("ORT_DYLIB_PATH") { Ok(()) } else { provide(wheel) }
    });
    if let Err(missing) = result
        && !is_set("ORT_DYLIB_PATH")
    {
        println!(
            "cargo::warning=The build is good, but the program will not find ONNX Runtime ({package}): {missing}; set \
             ORT_DYLIB_PATH to the {} of an ONNX Runtime 1.22 or newer, or {}.",
            location::library_name(&cargo_var("CARGO_CFG_TARGET_OS")),
            missing.remedy(),
        );
    }
}

// ------------------------------------------------------------------------------------------------------- the wheels

/// A wheel of ONNX Runtime: which one, and what is taken out of it.
struct Wheel {
    package: &'static str,
    version: &'static str,
    /// `CARGO_CFG_TARGET_OS` and `CARGO_CFG_TARGET_ARCH`.
    target: (&'static str, &'static str),
    /// pip's name of the platform, as in the wheel's file name.
    platform: &'static str,
    /// Of the wheel for CPython 3.12. Any would do: the library in it does not depend on Python.
    sha256: &'static str,
    /// The main library in the wheel. It loses its version number when it is taken out.
    library: &'static str,
    /// What the main library loads from its own folder.
    companions: &'static [&'static str],
}

/// To update: `python -m pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp
/// --platform PLATFORM PACKAGE==VERSION`, then `sha256sum`.
const WHEELS: &[Wheel] = &[
    Wheel {
        package: "onnxruntime",
        version: "1.31.1",
        target: ("linux", "x86_64"),
        platform: "manylinux_2_28_x86_64",
        sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
        library: "libonnxruntime.so.1.31.1",
        companions: &[],
    },
    Wheel {
        package: "onnxruntime",
        version: "1.31.1",
        target: ("linux", "aarch64"),
        platform: "manylinux_2_28_aarch64",
        sha256: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
        library: "libonnxruntime.so.1.31.1",
        companions: &[],
    },
    Wheel {
        package: "onnxruntime",
        version: "1.31.1",
        target: ("windows", "x86_64"),
        platform: "win_amd64",
        sha256: "ae8a9a351efda685cc59a66226cdefaa37a126c1d66872ca23a2de9425326130",
        library: "onnxruntime.dll",
        companions: &[],
    },
    Wheel {
        package: "onnxruntime",
        version: "1.31.1",
        target: ("windows", "aarch64"),
        platform: "win_arm64",
        sha256: "fe8b9ac1ae8e894e12c47ee82e4f6dfc1835768133687257866469fda80d0bf1",
        library: "onnxruntime.dll",
        companions: &[],
    },
    Wheel {
        package: "onnxruntime",
        version: "1.31.1",
        target: ("macos", "aarch64"),
        platform: "macosx_14_0_arm64",
        sha256: "96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c",
        library: "libonnxruntime.1.31.1.dylib",
        companions: &[],
    },
    Wheel {
        package: "onnxruntime-gpu",
        version: "1.31.1",
        target: ("linux", "x86_64"),
        platform: "manylinux_2_28_x86_64",
        sha256: "05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7",
        library: "libonnxruntime.so.1.31.1",
        companions: &[
            "libonnxruntime_providers_shared.so",
            "libonnxruntime_providers_cuda.so",
            "libonnxruntime_providers_tensorrt.so",
        ],
    },
    Wheel {
        package: "onnxruntime-gpu",
        version: "1.31.1",
        target: ("windows", "x86_64"),
        platform: "win_amd64",
        sha256: "2bb1e9373baba88f6415257f5b6a589d23e23c16004f7d89adf4344eada5749e",
        library: "onnxruntime.dll",
        companions: &[
            "onnxruntime_providers_shared.dll",
            "onnxruntime_providers_cuda.dll",
            "onnxruntime_providers_tensorrt.dll",
        ],
    },
    Wheel {
        package: "onnxruntime-directml",
        version: "1.24.4",
        target: ("windows", "x86_64"),
        platform: "win_amd64",
        sha256: "f2ecb68b7b7b259d2ef3112ae760149f9b5a1e7c0fbb73d539da6250a648a614",
        library: "onnxruntime.dll",
        companions: &["DirectML.dll"],
    },
];

impl Wheel {
    /// The wheel of `package` for the target of this build.
    fn select(package: &str) -> Result<&'static Wheel, Missing> {
        let (os, arch) = (cargo_var("CARGO_CFG_TARGET_OS"), cargo_var("CARGO_CFG_TARGET_ARCH"));
        // The wheels for Linux are linked with glibc.
        let is_foreign_libc = os == "linux" && cargo_var("CARGO_CFG_TARGET_ENV") != "gnu";
        WHEELS
            .iter()
            .find(|wheel| wheel.package == package && wheel.target == (os.as_str(), arch.as_str()))
            .filter(|_| !is_foreign_libc)
            .ok_or_else(|| Missing::Wheel { platform: format!("{os} {arch}") })
    }

    /// The name of its folder in the cache.
    fn folder(&self) -> String {
        format!("{}-{}-{}", self.package, self.version, self.platform)
    }

    /// What is taken out of the wheel: (name in the wheel, name on disk).
    fn files(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let companions = self.companions.iter().map(|name| (*name, *name));
        [(self.library, location::library_name(self.target.0))].into_iter().chain(companions)
    }

    /// Whether `folder` holds everything that is taken out of the wheel.
    fn is_complete_in(&self, folder: &Path) -> bool {
        self.files().all(|(_, name)| folder.join(name).is_file())
    }
}

// -------------------------------------------------------------------------------------------------- from wheel to place

/// Puts the libraries of `wheel` where executables, tests and examples of this build find them.
fn provide(wheel: &Wheel) -> Result<(), Missing> {
    let out_dir = PathBuf::from(cargo_var("OUT_DIR"));
    let places = places(&out_dir);
    let cache = location::cache_dir()
        .filter(|root| fs::create_dir_all(root).is_ok())
        // No home, or one that cannot be written to: the build's own folder serves, until `cargo clean`.
        .unwrap_or_else(|| out_dir.clone())
        .join(wheel.folder());
    // Cargo runs this script again when one of these disappears, hence also at every build until they are there.
    for folder in places.iter().chain([&cache]) {
        for (_, name) in wheel.files() {
            println!("cargo::rerun-if-changed={}", folder.join(name).display());
        }
    }

    // Says which wheel the libraries in `places` are from.
    let record = out_dir.join("placed");
    if !wheel.is_complete_in(&cache) {
        let is_placed = fs::read_to_string(&record).is_ok_and(|folder| folder == wheel.folder());
        match places.iter().find(|place| is_placed && wheel.is_complete_in(place)) {
            Some(place) => copy_all(wheel, place, &cache)?,
            None => fetch(wheel, &cache)?,
        }
    }
    for place in &places {
        copy_all(wheel, &cache, place)?;
    }
    fs::write(record, wheel.folder())?;
    Ok(())
}

/// The folders of this build in which Cargo puts executables, tests and examples.
///
/// Derived from `OUT_DIR`, `TARGET_DIR[/TRIPLE]/PROFILE/build/…/out`: that is right with `CARGO_TARGET_DIR`, `--target`
/// and custom profiles alike.
fn places(out_dir: &Path) -> Vec<PathBuf> {
    let build = out_dir.ancestors().find(|folder| folder.file_name() == Some(OsStr::new("build")));
    let profile = build.and_then(Path::parent);
    profile.map_or_else(Vec::new, |profile| vec![profile.to_path_buf(), profile.join("deps"), profile.join("examples")])
}

/// Puts the libraries of `wheel` that lie in `from` into `to` as well.
fn copy_all(wheel: &Wheel, from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for (_, name) in wheel.files() {
        let (from, to) = (from.join(name), to.join(name));
        if !looks_same(&from, &to) {
            link_or_copy(&from, &to)?;
        }
    }
    Ok(())
}

fn looks_same(a: &Path, b: &Path) -> bool {
    let facts = |path| fs::metadata(path).and_then(|meta| Ok((meta.len(), meta.modified()?)));
    matches!((facts(a), facts(b)), (Ok(a), Ok(b)) if a == b)
}

/// Makes `to` the same file as `from`, at once: another build or a running program never sees half a file.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    let temp = beside(to);
    remove_file_if_there(&temp)?;
    if fs::hard_link(from, &temp).is_err() {
        fs::copy(from, &temp)?;
        set_age(&temp)?;
    }
    let renamed = fs::rename(&temp, to);
    // Renaming a file to another name of itself does nothing and keeps both names.
    remove_file_if_there(&temp)?;
    renamed
}

/// A name for what is to become `path`, on the same file system, that no other build uses.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn remove_file_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Gives a library a fixed date of long ago. Cargo takes a watched file that is younger than the start of this script
/// for changed, and would run the script, and compile the crate, a second time.
fn set_age(path: &Path) -> io::Result<()> {
    let year_2020 = SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800);
    fs::File::options().write(true).open(path)?.set_modified(year_2020)
}

/// Downloads and unpacks `wheel` into the folder `cache`.
fn fetch(wheel: &Wheel, cache: &Path) -> Result<(), Missing> {
    // Cargo's own switch for "no network".
    if env::var("CARGO_NET_OFFLINE").is_ok_and(|value| value == "true") {
        return Err(Missing::Offline);
    }
    let python = Python::find()?;
    let temp = TempDir::create(beside(cache))?;
    let path = python.download(wheel, &temp.0)?;
    python.unpack(&path, &temp.0)?;

    fs::create_dir_all(cache)?;
    for (name_in_wheel, name) in wheel.files() {
        let from = temp.0.join("onnxruntime").join("capi").join(name_in_wheel);
        set_age(&from)?;
        let to = cache.join(name);
        let renamed = fs::rename(&from, &to);
        // Windows does not replace a library that is in use; then another build has just put it there.
        if !to.is_file() {
            renamed?;
        }
    }
    Ok(())
}

/// A folder that is removed with all its contents in the end, however that is reached.
struct TempDir(PathBuf);

impl TempDir {
    fn create(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A left-over folder does no harm, and there is no one to tell.
        fs::remove_dir_all(&self.0).ok();
    }
}

// ------------------------------------------------------------------------------------------------------ Python and pip

/// A Python interpreter that has pip: a program and its first arguments.
struct Python(&'static [&'static str]);

impl Python {
    fn find() -> Result<Self, Missing> {
        // `py` is the launcher for Windows; `python3` may be a stub there that opens the store.
        let candidates: [&[&str]; 3] = if cfg!(windows) {
            [&["py", "-3"], &["python"], &["python3"]]
        } else {
            [&["python3"], &["python"], &["py", "-3"]]
        };
        const HAS_NO_PIP: i32 = 3;
        let test = "import sys, importlib.util as u; sys.exit(0 if u.find_spec('pip') else 3)";
        let mut missing = Missing::Python;
        for candidate in candidates {
            let python = Self(candidate);
            match python.command().args(["-c", test]).output().map(|output| output.status.code()) {
                Ok(Some(0)) => return Ok(python),
                Ok(Some(HAS_NO_PIP)) if matches!(missing, Missing::Python) => {
                    missing = Missing::Pip { python: candidate.join(" ") };
                }
                _ => {}
            }
        }
        Err(missing)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.0[0]);
        command.args(&self.0[1..]).stdin(Stdio::null());
        command
    }

    /// Has pip download `wheel` into `folder`, and returns the file. pip's configuration (mirror, proxy, certificates)
    /// applies, its output is kept away from Cargo, and its check of the hash leaves no doubt what came.
    fn download(&self, wheel: &Wheel, folder: &Path) -> Result<PathBuf, Missing> {
        // Hashes can be given in a file of requirements only.
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, format!("{}=={} --hash=sha256:{}\n", wheel.package, wheel.version, wheel.sha256))?;
        let output = self
            .command()
            .args(["-m", "pip", "download", "--require-hashes", "--no-deps", "--only-binary=:all:"])
            .args(["--platform", wheel.platform, "--python-version", "3.12", "--implementation", "cp"])
            // Without a network this gives up within half a minute.
            .args(["--timeout", "10", "--retries", "1", "--no-input", "--disable-pip-version-check"])
            .args(["--progress-bar", "off", "--dest", ".", "--requirement", "requirements.txt"])
            // `folder` also keeps a stray `pip.py` of the working directory out of Python's search path.
            .current_dir(folder)
            .env("PIP_REQUIRE_VIRTUALENV", "false")
            .output()?;
        if !output.status.success() {
            return Err(Missing::from_pip(&output));
        }
        fs::read_dir(folder)?
            .filter_map(|entry| entry.map(|entry| entry.path()).ok())
            .find(|path| path.extension() == Some(OsStr::new("whl")))
            .ok_or_else(|| Missing::Download { reason: "pip left no wheel".to_owned() })
    }

    fn unpack(&self, wheel: &Path, folder: &Path) -> Result<(), Missing> {
        let output =
            self.command().args(["-m", "zipfile", "-e"]).arg(wheel).arg(folder).current_dir(folder).output()?;
        if output.status.success() { Ok(()) } else { Err(Missing::Download { reason: last_line(&output.stderr) }) }
    }
}

/// Why there is no library.
enum Missing {
    /// The package has no wheel for this target.
    Wheel {
        platform: String,
    },
    /// Cargo was told to stay off the network.
    Offline,
    Python,
    Pip {
        python: String,
    },
    /// The package index was not reached.
    Network,
    /// The index was reached, and does not have the wheel.
    NotOnIndex,
    /// The wheel is not the pinned one.
    Hash,
    /// pip or zipfile failed otherwise.
    Download {
        reason: String,
    },
    Io(io::Error),
}

impl Missing {
    /// Tells from pip's output why it failed; pip has one exit status for all.
    fn from_pip(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stderr);
        if text.contains("DO NOT MATCH THE HASHES") {
            Self::Hash
        } else if ["Retrying (", "ConnectionError", "Read timed out", "Connection to"].iter().any(|s| text.contains(s))
        {
            Self::Network
        } else if text.contains("No matching distribution") {
            Self::NotOnIndex
        } else {
            Self::Download { reason: last_line(&output.stderr) }
        }
    }

    /// The other way out, beside `ORT_DYLIB_PATH`.
    fn remedy(&self) -> &'static str {
        match self {
            Self::Wheel { .. } => "select another wheel with GRAFT_ORT_PACKAGE",
            Self::Python | Self::Pip { .. } => "install Python with pip and build again",
            Self::Hash | Self::NotOnIndex => "build again with pip set to the official package index",
            Self::Offline | Self::Network | Self::Download { .. } => "build again with a network connection",
            Self::Io(_) => "mend that and build again",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wheel { platform } => write!(f, "there is no such wheel for {platform}"),
            Self::Offline => write!(f, "it is not in the cache, and Cargo is offline"),
            Self::Python => write!(f, "no Python was found to download it with"),
            Self::Pip { python } => write!(f, "`{python}` has no pip to download it with"),
            Self::Network => write!(f, "pip did not reach its package index"),
            Self::NotOnIndex => write!(f, "pip's package index does not have it"),
            Self::Hash => write!(f, "what pip downloaded is not the pinned file, and was thrown away"),
            Self::Download { reason } => write!(f, "it could not be downloaded ({reason})"),
            Self::Io(error) => write!(f, "its files could not be written ({error})"),
        }
    }
}

impl From<io::Error> for Missing {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The last line that says something: Cargo takes one line as a warning, and Python puts the reason last.
fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no reason given").to_owned()
}

// --------------------------------------------------------------------------------------------------------- the version

/// Sets `GRAFT_VERSION` to `0.1.0`, or `0.1.0 (abc1234)` when built from a git checkout.
fn stamp_version() {
    let version = cargo_var("CARGO_PKG_VERSION");
    match git_commit() {
        Some(commit) => println!("cargo::rustc-env=GRAFT_VERSION={version} ({commit})"),
        None => println!("cargo::rustc-env=GRAFT_VERSION={version}"),
    }
}

fn git_commit() -> Option<String> {
    // Only this package's own repository counts, not one that an unpacked archive of it happens to lie in.
    let root = PathBuf::from(cargo_var("CARGO_MANIFEST_DIR"));
    if !root.join(".git").exists() {
        return None;
    }
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(&root).args(arguments).stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
    };
    // The log of HEAD grows with every commit and checkout. A missing file would run this script at every build.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).map(|path| root.join(path))
            && path.exists()
        {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(&["rev-parse", "--short=7", "HEAD"])
}

/// A variable that Cargo always sets for a build script.
fn cargo_var(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}
