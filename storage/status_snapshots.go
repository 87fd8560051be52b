package storage

import (
	"fmt"

	"tsdb/partition/manifest"
	"tsdb/storage/snapshot"
)

// SnapshotStatus describes a snapshot.
type SnapshotStatus struct {
	Name        string `json:"name"`
	Taken       string `json:"taken"`       // RFC 3339
	Temporary   bool   `json:"temporary"`   // made for a backup
	Opened      bool   `json:"opened"`      // a server has been started on it
	Bytes       int64  `json:"bytes"`       // of its files
	PinnedBytes int64  `json:"pinnedBytes"` // of those that the database itself has not any more
}

// SnapshotFile describes a file of a snapshot.
type SnapshotFile struct {
	Path string `json:"path"` // relative to the snapshot
	Size int64  `json:"size"`
	// TailBytes and TailCRC are length and CRC-32C of the tail of a block, as in the
	// MANIFEST; 0 and empty for other files.
	TailBytes uint32 `json:"tailBytes,omitempty"`
	TailCRC   string `json:"tailCrc,omitempty"`
}

// SnapshotStatus returns the snapshots of the database, the oldest first.
func (db *DB) SnapshotStatus() ([]SnapshotStatus, error) {
	infos, err := snapshot.List(db.fs, db.dir)
	if err != nil {
		return nil, err
	}
	list := []SnapshotStatus{}
	for _, i := range infos {
		list = append(list, SnapshotStatus{
			Name: i.Name, Taken: rfc3339(i.WallMs), Temporary: i.Temporary, Opened: i.Opened, Bytes: i.Bytes, PinnedBytes: i.PinnedBytes,
		})
	}
	return list, nil
}

// SnapshotFiles returns the files of a snapshot. A missing snapshot is fs.ErrNotExist.
func (db *DB) SnapshotFiles(name string) ([]SnapshotFile, error) {
	if err := snapshot.CheckName(name); err != nil {
		return nil, err
	}
	dir := snapshot.Dir(db.dir, name)
	st, _, err := manifest.Read(db.fs, dir)
	if err != nil {
		return nil, err
	}
	files, err := snapshot.Files(db.fs, dir)
	if err != nil {
		return nil, err
	}
	db.snapshots.used(name)
	list := make([]SnapshotFile, len(files))
	for i, f := range files {
		list[i] = SnapshotFile{Path: f.Path, Size: f.Size}
		if b, ok := st.Blocks[f.Path]; ok {
			list[i].TailBytes, list[i].TailCRC = b.FooterLen, fmt.Sprintf("%08x", b.CRC)
		}
	}
	return list, nil
}
