//! A transaction does not give its connection away.
use tenantry::db::TenantTx;

fn steal(tx: &TenantTx) {
    let _ = tx.core();
}

fn main() {
    let _ = steal;
}
