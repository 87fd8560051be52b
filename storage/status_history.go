package storage

import (
	"sync"
	"time"

	"tsdb/internal/model"
	"tsdb/storage/history"
)

// HistoryStatus describes the history, and what it would cost while it is off. Times are
// RFC 3339.
type HistoryStatus struct {
	KeepMs int64  `json:"keepMs"` // 0 = off
	Marks  int    `json:"marks"`
	Oldest string `json:"oldest,omitempty"` // the earliest time that as_of can ask for
	Newest string `json:"newest,omitempty"`
	Blocks int    `json:"blocks"` // that only marks have
	Bytes  int64  `json:"bytes"`  // of these blocks and of the marks
	Purges int    `json:"purges"` // deletions that marks are read with

	GivenUp uint64 `json:"givenUp"` // marks dropped for want of space since the start
	Failed  uint64 `json:"failed"`  // marks that could not be written since the start
	Damaged int    `json:"damaged"` // files of marks of which not all can be read

	// BytesPerDay are those of the blocks that merges, rollups and retention drop in a day,
	// which a history holds for as long as it is kept.
	BytesPerDay int64  `json:"bytesPerDay"`
	Basis       string `json:"basis"` // of BytesPerDay: "measured" in the last 24 hours, or "estimated" from the sizes of blocks
}

func (db *DB) historyStatus() HistoryStatus {
	h := db.past.status()
	st := HistoryStatus{
		KeepMs: db.opts.HistoryKeep.Milliseconds(), Marks: h.Marks, Blocks: h.Blocks, Bytes: h.Bytes, Purges: h.Purges,
		GivenUp: h.GivenUp, Failed: h.Failed, Damaged: h.Damaged,
	}
	if h.Marks > 0 {
		st.Oldest, st.Newest = rfc3339(h.OldestMs), rfc3339(h.NewestMs)
	}
	if bytes, ok := db.dropped.lastDay(db.opts.Clock.Now()); ok {
		st.BytesPerDay, st.Basis = bytes, "measured"
	} else {
		st.BytesPerDay, st.Basis = history.BytesPerDay(db.manifest.State(), db.now()), "estimated"
	}
	return st
}

// dropMeter measures the bytes of blocks that edits drop, by hour. It is safe for
// concurrent use.
type dropMeter struct {
	mu    sync.Mutex
	began int64           // hour of the first edit, since the Unix epoch; 0 before it
	hours map[int64]int64 // bytes by hour
}

const dayHours = model.DayMs / model.HourMs

func (m *dropMeter) add(now time.Time, bytes int64) {
	hour := now.UnixMilli() / model.HourMs
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hours == nil {
		m.began, m.hours = hour, map[int64]int64{}
	}
	m.hours[hour] += bytes
	for h := range m.hours {
		if h < hour-dayHours || h > hour { // the clock may have been set back
			delete(m.hours, h)
		}
	}
}

// lastDay returns the bytes of the last 24 hours, and whether there were as many.
func (m *dropMeter) lastDay(now time.Time) (bytes int64, ok bool) {
	hour := now.UnixMilli() / model.HourMs
	m.mu.Lock()
	defer m.mu.Unlock()
	for h, n := range m.hours {
		if h > hour-dayHours && h <= hour {
			bytes += n
		}
	}
	return bytes, m.hours != nil && hour-m.began >= dayHours
}
