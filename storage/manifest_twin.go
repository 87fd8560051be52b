package storage

import "tsdb/partition"

// tellRestored logs what was wrong with a copy of the MANIFEST when it was
// opened and has been put right from the other.
func (db *DB) tellRestored() {
	problems, fromTwin := db.manifest.Restored()
	for _, err := range problems {
		db.log.Error("a copy of the MANIFEST was damaged and has been written anew from the other", "err", err, "from", copyTaken(fromTwin))
	}
	db.observeTwin()
}

func copyTaken(fromTwin bool) string {
	if fromTwin {
		return partition.TwinName
	}
	return partition.ManifestName
}

// observeTwin logs when the second copy of the MANIFEST begins to lack edits and
// when it has them all again. Every edit tries to write it.
func (db *DB) observeTwin() {
	err := db.manifest.TwinErr()
	switch was := db.twinBehind.Swap(err != nil); {
	case err != nil && !was:
		db.log.Error("the second copy of the MANIFEST lacks edits, will be tried again with the next", "file", partition.TwinName, "err", err)
	case err == nil && was:
		db.log.Info("the second copy of the MANIFEST has all edits again", "file", partition.TwinName)
	}
}
