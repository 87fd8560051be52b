package storage

// Status is what the database holds, as GET /api/v1/status/storage shows it.
// Bytes are those of block files; the log's stand apart.
type Status struct {
	Series         uint64       `json:"series"` // distinct ones with samples, in memory and in blocks
	Samples        uint64       `json:"samples"`
	Blocks         int          `json:"blocks"`
	Bytes          int64        `json:"bytes"`
	BytesPerSample float64      `json:"bytesPerSample"` // of the samples in blocks; 0 without any
	Head           HeadStatus   `json:"head"`
	WAL            WALStatus    `json:"wal"`
	Tiers          []TierStatus `json:"tiers"`
}

// HeadStatus describes the samples that are in memory.
type HeadStatus struct {
	Series  uint64 `json:"series"`
	Samples uint64 `json:"samples"`
	Bytes   int64  `json:"bytes"`
}

// WALStatus describes the log.
type WALStatus struct {
	Bytes int64 `json:"bytes"`
}

// TierStatus lists the partitions of one resolution.
type TierStatus struct {
	Tier       string            `json:"tier"`
	Partitions []PartitionStatus `json:"partitions"`
}

// PartitionStatus describes the blocks of one partition. Start and End are
// RFC 3339, the range is [Start, End).
type PartitionStatus struct {
	Start   string `json:"start"`
	End     string `json:"end"`
	Blocks  int    `json:"blocks"`
	Series  uint64 `json:"series"`
	Samples uint64 `json:"samples"`
	Bytes   int64  `json:"bytes"`
}

// Cardinality is what GET /api/v1/status/tsdb shows of the head: the largest
// metrics, label names, values and pairs.
type Cardinality struct {
	Series       uint64
	LabelPairs   uint64
	Chunks       uint64
	MinTime      int64 // Unix milliseconds of the oldest sample in memory; math.MaxInt64 without any
	MaxTime      int64
	ByMetric     []NameCount // series a metric
	ByLabelName  []NameCount // values a label name
	BytesByLabel []NameCount // bytes of values a label name
	ByLabelPair  []NameCount // series a name=value pair
}

// NameCount is one row of a cardinality table.
type NameCount struct {
	Name  string
	Count uint64
}
