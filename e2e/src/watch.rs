//! What ends the servers of a process that cannot do so any more.
//!
//! ```text
//!   process ──a pipe, held open──▶ watch: at its end, kills all below the folder, and removes it
//!      └── spawner thread ──PR_SET_PDEATHSIG──▶ server
//! ```
//!
//! The kernel kills each server when the thread that started it ends ([`spawner`]). That is
//! prompt, but not enough: the signal is not inherited by what the server starts, of which
//! some leave the process group, and what is frozen does not notice that its server is gone. So a
//! shell waits for the end of the process and looks for working directories below the folder.
//!
//! It also does the end of a normal run: statics, like the shared servers, are never dropped.
//!
//! [`spawner`]: crate::spawner

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};

use crate::error::Error;

/// PostgreSQL gets two seconds, 40 looks, to give back its System V shared memory, which would
/// otherwise stay until the machine is restarted. The signal that asks for it has been sent, and
/// takes effect when it is not frozen.
///
/// It gives up after half a minute, with what is another user's.
const WATCH: &str = r#"
read -r _
look=0
while
    found=$(find /proc -maxdepth 2 -name cwd -lname "$1/*" 2>/dev/null)
    [ $look -lt 600 ] && { [ -n "$found" ] || ! rm -rf "$1"; }
do
    for cwd in $found; do
        pid=${cwd#/proc/}
        pid=${pid%/cwd}
        name=
        { read -r name </proc/$pid/comm; } 2>/dev/null
        if [ "$name" = postgres ] && [ $look -lt 40 ]; then
            kill -CONT $pid 2>/dev/null
        else
            kill -KILL $pid 2>/dev/null
        fi
    done
    look=$((look + 1))
    sleep 0.05
done
"#;

/// Starts the watch over `folder`, which lasts until what is returned is closed.
pub(crate) fn over(folder: &Path) -> Result<ChildStdin, Error> {
    let watch = Command::new("sh")
        .args(["-c", WATCH, "watch"])
        .arg(folder)
        // Neither a Ctrl-C, nor a signal to the group of the tests, is for it.
        .process_group(0)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    watch
        .and_then(|watch| watch.stdin.ok_or_else(|| std::io::Error::other("it has no input")))
        .map_err(Error::io("start the watch over the servers"))
}
