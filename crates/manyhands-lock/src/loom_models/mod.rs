//! Models of the lock: who has it is alone with the value, and sees what was written before.
//!
//! | fault | noticed by |
//! |---|---|
//! | `lock_is_taken_relaxed` | `lock::who_comes_next…` |
//! | `lock_is_taken_twice` | `lock::who_comes_next…` |
//! | `lock_is_let_go_relaxed` | `lock::who_comes_next…` |

mod lock;
