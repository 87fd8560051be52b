package format

// Names in a data directory. Paths are slash-separated and relative to it.
const (
	LockName      = "LOCK"        // held while a process has the directory open
	ManifestName  = "MANIFEST"    // the log of edits
	TwinName      = "MANIFEST.2"  // its second copy
	ReserveName   = "reserve"     // bytes kept for deletes, cuts and edits on a full disk
	WALDir        = "wal"         // WAL segments
	SegmentsName  = "SEGMENTS"    // lists the segments that hold durable frames
	L0Dir         = "l0"          // cuts, all partitions in one file
	RawDir        = "raw"         // one directory per day partition
	LostFoundDir  = "lost+found"  // files that are not listed and may hold data
	SnapshotsDir  = "snapshots"   // one data directory per snapshot
	RestoringName = "RESTORING"   // there until a restore has written everything
	SnapshotName  = "SNAPSHOT"    // in a snapshot that was never opened: what it is of
	QueriedName   = "QUERIED"     // how often queries ask for each metric
	CountsName    = "CARDINALITY" // counts of the series of each day
	HistoryDir    = "history"     // marks, and the blocks that only they have
	BlockSuffix   = ".tsb"        // suffix of every block file
	TempSuffix    = ".tmp"        // files that are renamed once they are complete
)

// MaxNameBytes bounds the name of a file in any format.
const MaxNameBytes = 4 << 10
