package storage

// Quarantined returns an error for each listed block that is missing or
// damaged. Writes go on; queries over their times warn.
func (db *DB) Quarantined() []error {
	st := db.pin()
	if st == nil {
		return nil
	}
	defer db.releaseState(st)
	return st.blocks.Quarantined()
}
