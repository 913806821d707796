//! Tells the code of the interpreter that it is built for: whether it has a GIL.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
