package storage

import (
	"tsdb/partition/block"
)

// BlockStatus describes a block.
type BlockStatus struct {
	block.Info
	Chunks uint64 // 0 if the block cannot be read
}

// Blocks lists the blocks, from the oldest to the newest.
func (db *DB) Blocks() ([]BlockStatus, error) {
	v, err := db.View()
	if err != nil {
		return nil, err
	}
	defer v.Release()
	var list []BlockStatus
	for _, e := range v.st.blocks.Entries() {
		b := BlockStatus{Info: e.Info}
		if e.Block() != nil {
			b.Chunks = e.Block().ChunkCount()
		}
		list = append(list, b)
	}
	return list, nil
}

// Quarantined returns an error for each listed block that is missing or
// damaged. Writes continue; queries over their times warn.
func (db *DB) Quarantined() []error {
	st := db.views.pin()
	if st == nil {
		return nil
	}
	defer db.views.release(st)
	return st.blocks.Quarantined()
}
