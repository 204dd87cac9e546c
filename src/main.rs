//! The program: logging, then the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    decline_telemetry();
    let filter = tracing_subscriber::EnvFilter::try_from_env("GRAFT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    graft::cli::run()
}

/// What ONNX Runtime must not do: since 1.29 its own builds report each process that loads them (the program's path, the
/// processor, an identifier of the machine) to their maker, and the API that declines comes too late for the first
/// report. Nothing leaves this machine; who wants the reports sets the variable to 0.
fn decline_telemetry() {
    const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";
    if std::env::var_os(VARIABLE).is_none() {
        #[allow(unsafe_code, reason = "no other thread is there yet that could read the environment")]
        // SAFETY: the first thing that `main` does, on its only thread.
        unsafe {
            std::env::set_var(VARIABLE, "1");
        }
    }
}
