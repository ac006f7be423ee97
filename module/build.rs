//! Generates bindings for the httpd this build is for: the one whose `apxs` is in `APXS`, else in
//! the folder `APACHE_BINDIR`, else the first `apxs` or `apxs2` on the `PATH`.

use std::env;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const FUNCTIONS: &[&str] = &[
    "ap_add_input_filter",
    "ap_add_output_filter",
    "ap_bucket_eor_create",
    "ap_die",
    "ap_finalize_request_protocol",
    "ap_get_brigade",
    "ap_get_conn_socket",
    "ap_get_request_module_loglevel",
    "ap_get_scoreboard_global",
    "ap_get_scoreboard_process",
    "ap_get_scoreboard_worker",
    "ap_get_scoreboard_worker_from_indexes",
    "ap_get_server_port",
    "ap_get_status_line",
    "ap_hook_check_config",
    "ap_hook_child_init",
    "ap_hook_child_status",
    "ap_hook_create_connection",
    "ap_hook_error_log",
    "ap_hook_handler",
    "ap_hook_post_config",
    "ap_hook_resume_connection",
    "ap_hook_suspend_connection",
    "ap_index_of_response",
    "ap_log_error_",
    "ap_log_rerror_",
    "ap_mpm_query",
    "ap_pass_brigade",
    "ap_pregcomp",
    "ap_prep_lingering_close",
    "ap_regexec",
    "ap_register_input_filter",
    "ap_register_output_filter",
    "ap_remove_input_filter",
    "ap_remove_input_filter_byhandle",
    "ap_remove_output_filter",
    "ap_remove_output_filter_byhandle",
    "ap_response_code_string",
    "ap_retained_data_create",
    "ap_retained_data_get",
    "ap_run_generate_log_id",
    "ap_run_handler",
    "ap_run_http_scheme",
    "ap_run_insert_error_filter",
    "ap_runtime_dir_relative",
    "ap_rwrite",
    "ap_send_error_response",
    "ap_send_interim_response",
    "ap_set_content_length",
    "ap_set_content_type",
    "ap_shutdown_conn",
    "ap_server_root_relative",
    "ap_state_query",
    "apr_allocator_max_free_set",
    "apr_allocator_mutex_set",
    "apr_allocator_owner_get",
    "apr_brigade_cleanup",
    "apr_brigade_create",
    "apr_brigade_destroy",
    "apr_brigade_flatten",
    "apr_brigade_length",
    "apr_bucket_flush_create",
    "apr_bucket_heap_create",
    "apr_bucket_transient_create",
    "apr_dso_error",
    "apr_dso_load",
    "apr_dso_sym",
    "apr_dynamic_fn_retrieve",
    "apr_optional_hook_add",
    "apr_os_file_get",
    "apr_os_sock_get",
    "apr_os_thread_current",
    "apr_os_thread_put",
    "apr_palloc",
    "apr_pool_allocator_get",
    "apr_pool_cleanup_kill",
    "apr_pool_cleanup_null",
    "apr_pool_cleanup_register",
    "apr_pool_clear",
    "apr_pool_destroy",
    "apr_pool_pre_cleanup_register",
    "apr_pstrmemdup",
    "apr_shm_baseaddr_get",
    "apr_shm_create",
    "apr_socket_shutdown",
    "apr_socket_timeout_get",
    "apr_socket_timeout_set",
    "apr_strerror",
    "apr_table_add",
    "apr_table_clear",
    "apr_table_copy",
    "apr_table_elts",
    "apr_table_get",
    "apr_table_make",
    "apr_table_overlay",
    "apr_table_set",
    "apr_table_setn",
    "apr_table_unset",
    "apr_thread_mutex_create",
];

const TYPES: &[&str] = &[
    "ap_directive_t",
    "apr_bucket_brigade",
    "apr_bucket_heap",
    "apr_dso_handle_t",
    "apr_pollfd_t",
    "apr_table_entry_t",
    "cmd_parms",
    "command_rec",
    "conn_rec",
    "module",
    "request_rec",
    "server_rec",
];

const CONSTANTS: &[&str] = &[
    "ACCESS_CONF",
    "APLOG_DEBUG",
    "APLOG_ERR",
    "APLOG_INFO",
    "APLOG_NOERRNO",
    "APLOG_TRACE1",
    "APLOG_TRACE2",
    "APLOG_TRACE4",
    "APLOG_WARNING",
    "APR_DIR",
    "APR_EAGAIN",
    "APR_EBADF",
    "APR_EGENERAL",
    "APR_EINTR",
    "APR_ENOTIMPL",
    "APR_EOF",
    "APR_HOOK_FIRST",
    "APR_HOOK_MIDDLE",
    "APR_HOOK_REALLY_FIRST",
    "APR_HOOK_REALLY_LAST",
    "APR_NOFILE",
    "APR_OS_START_ERROR",
    "APR_POLL_FILE",
    "APR_SHUTDOWN_WRITE",
    "APR_SUCCESS",
    "APR_THREAD_MUTEX_DEFAULT",
    "APR_TIMEUP",
    "AP_FILTER_ERROR",
    "AP_MODE_EXHAUSTIVE",
    "AP_MODE_READBYTES",
    "AP_MODE_SPECULATIVE",
    "AP_MPMQ_GENERATION",
    "AP_MPMQ_HARD_LIMIT_DAEMONS",
    "AP_MPMQ_IS_ASYNC",
    "AP_MPMQ_IS_THREADED",
    "AP_MPMQ_MAX_DAEMONS",
    "AP_MPMQ_MAX_REQUESTS_DAEMON",
    "AP_MPMQ_MAX_SPARE_THREADS",
    "AP_MPMQ_MAX_THREADS",
    "AP_MPMQ_MPM_STATE",
    "AP_MPMQ_NOT_SUPPORTED",
    "AP_MPMQ_STOPPING",
    "AP_REG_EXTENDED",
    "AP_REQ_ACCEPT_PATH_INFO",
    "AP_SQ_MAIN_STATE",
    "AP_SQ_MS_CREATE_PRE_CONFIG",
    "AP_SQ_MS_RUN_MPM",
    "AP_SQ_RM_CONFIG_TEST",
    "AP_SQ_RUN_MODE",
    "AP_STATUS_NOTABLE",
    "AP_STATUS_SHORT",
    "CONN_STATE_SUSPENDED",
    "DECLINED",
    "HTTP_INTERNAL_SERVER_ERROR",
    "HTTP_OK",
    "HTTP_SWITCHING_PROTOCOLS",
    "MODULE_MAGIC_COOKIE",
    "MODULE_MAGIC_NUMBER_MAJOR",
    "MODULE_MAGIC_NUMBER_MINOR",
    "MPM_CHILD_EXITED",
    "M_GET",
    "M_POST",
    "OK",
    "OR_AUTHCFG",
    "RSRC_CONF",
    "SERVER_BUSY_WRITE",
    "SERVER_DEAD",
    "SERVER_GRACEFUL",
    "SERVER_READY",
    "SERVER_STARTING",
    "SUSPENDED",
    "ap_conftree",
    "ap_graceful_shutdown_timeout",
    "ap_server_conf",
    "apr_bucket_type_eos",
    "apr_bucket_type_socket",
    "ap_unixd_config",
];

const MISSING_APXS: &str = "\
apxs, the httpd development tool, was not found; install it (Debian, Ubuntu: apt install apache2-dev; \
Fedora: dnf install httpd-devel; Homebrew: brew install httpd) or name it in the environment variable APXS";

const MISSING_LIBCLANG: &str = "\
libclang, which bindgen reads the httpd headers with, was not found; install it (Debian, Ubuntu: apt install \
libclang-dev; Fedora: dnf install clang-devel; Homebrew: brew install llvm) or name its folder in the environment \
variable LIBCLANG_PATH";

fn main() {
    println!("cargo::rerun-if-changed=wrapper.h");
    for variable in ["APXS", "APACHE_BINDIR"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if env::var("CARGO_CFG_TARGET_VENDOR").as_deref() == Ok("apple") {
        // httpd's own symbols are found when it loads the module.
        println!("cargo::rustc-link-arg-cdylib=-Wl,-undefined,dynamic_lookup");
    }
    let apxs = find_apxs().unwrap_or_else(|| fail(MISSING_APXS));
    let flags = compiler_flags(&apxs);
    require_headers(&apxs, &flags);
    require_version(&flags);
    generate(&flags);
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    exit(1);
}

fn find_apxs() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(named) = variable("APXS") {
        let named = PathBuf::from(named);
        if query(&named, "INCLUDEDIR").is_none() {
            fail(&format!(
                "APXS is set to {}, which does not answer `-q INCLUDEDIR`",
                named.display()
            ));
        }
        return Some(named);
    }
    let answers = |apxs: &PathBuf| query(apxs, "INCLUDEDIR").is_some();
    let names = ["apxs", "apxs2"].map(PathBuf::from);
    let Some(folder) = variable("APACHE_BINDIR").map(PathBuf::from) else {
        return names.into_iter().find(answers);
    };
    let within = names.clone().map(|name| folder.join(name));
    let found = within.into_iter().find(answers);
    found.or_else(|| {
        // Debian has the programs of one httpd in two folders.
        let is_of_folder = |apxs: &PathBuf| {
            let folders = ["SBINDIR", "BINDIR"].map(|variable| query(apxs, variable));
            folders.iter().flatten().any(|other| is_same(other.as_ref(), &folder))
        };
        names.into_iter().find(is_of_folder).or_else(|| {
            fail(&format!(
                "APACHE_BINDIR is set to {}, which has no apxs, and the one on the PATH is of another \
                 httpd; install that httpd's development files, or set APXS",
                folder.display()
            ))
        })
    })
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize()
        .is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

fn query(apxs: &Path, variable: &str) -> Option<String> {
    let output = Command::new(apxs).args(["-q", variable]).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| answer.trim().to_owned())
}

/// The include folders and definitions httpd's own modules are compiled with.
fn compiler_flags(apxs: &Path) -> Vec<String> {
    let folders = ["INCLUDEDIR", "APR_INCLUDEDIR", "APU_INCLUDEDIR"]
        .iter()
        .filter_map(|name| query(apxs, name))
        .filter(|folder| !folder.is_empty())
        .map(|folder| format!("-I{folder}"));
    let definitions = ["EXTRA_CPPFLAGS", "EXTRA_INCLUDES"]
        .iter()
        .filter_map(|name| query(apxs, name))
        .flat_map(|flags| {
            flags
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|flag| flag.starts_with("-D") || flag.starts_with("-I"));
    folders.chain(definitions).collect()
}

fn require_headers(apxs: &Path, flags: &[String]) {
    for header in ["httpd.h", "apr.h", "apr_buckets.h"] {
        let found = flags
            .iter()
            .filter_map(|flag| flag.strip_prefix("-I"))
            .any(|folder| Path::new(folder).join(header).exists());
        if !found {
            fail(&format!(
                "{header} is in none of the include folders {} names; install the httpd and APR headers (Debian, \
                 Ubuntu: apt install apache2-dev; Fedora: dnf install httpd-devel apr-devel apr-util-devel; Homebrew: \
                 brew install httpd)",
                apxs.display()
            ));
        }
    }
}

/// The oldest release of httpd 2.4 that the module works with.
const OLDEST_RELEASE: u32 = 37;

fn require_version(flags: &[String]) {
    let text = flags
        .iter()
        .filter_map(|flag| flag.strip_prefix("-I"))
        .find_map(|folder| fs::read_to_string(Path::new(folder).join("ap_release.h")).ok());
    let number = |name: &str| -> Option<u32> {
        let text = text.as_deref()?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("#define"));
        lines.find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(name)).then(|| words.next()?.parse().ok())?
        })
    };
    let version = (
        number("AP_SERVER_MAJORVERSION_NUMBER"),
        number("AP_SERVER_MINORVERSION_NUMBER"),
        number("AP_SERVER_PATCHLEVEL_NUMBER"),
    );
    if let (Some(major), Some(minor), Some(release)) = version
        && ((major, minor) != (2, 4) || release < OLDEST_RELEASE)
    {
        fail(&format!(
            "the headers are those of httpd {major}.{minor}.{release}; the module needs httpd 2.4, \
             2.4.{OLDEST_RELEASE} or later"
        ));
    }
}

fn generate(flags: &[String]) {
    let builder = bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(flags)
        .default_enum_style(bindgen::EnumVariation::Consts)
        .default_macro_constant_type(bindgen::MacroTypeVariation::Signed)
        .prepend_enum_name(false)
        .generate_comments(false)
        .layout_tests(false)
        .merge_extern_blocks(true)
        .sort_semantically(true)
        .allowlist_recursively(true);
    let builder = FUNCTIONS
        .iter()
        .fold(builder, bindgen::Builder::allowlist_function);
    let builder = TYPES.iter().fold(builder, bindgen::Builder::allowlist_type);
    let builder = CONSTANTS
        .iter()
        .fold(builder, bindgen::Builder::allowlist_var);

    // bindgen panics when it finds no libclang.
    panic::set_hook(Box::new(|_| {}));
    let bindings = match panic::catch_unwind(panic::AssertUnwindSafe(|| builder.generate())) {
        Ok(Ok(bindings)) => bindings,
        Ok(Err(error)) => fail(&format!("the httpd headers could not be read: {error}")),
        Err(_) => fail(MISSING_LIBCLANG),
    };
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("set by Cargo")).join("httpd.rs");
    if let Err(error) = bindings.write_to_file(&target) {
        fail(&format!(
            "{} could not be written: {error}",
            target.display()
        ));
    }
}
