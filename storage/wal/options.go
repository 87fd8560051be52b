package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"tsdb/internal/vfs"
)

// Options configure a log. The zero value is the default.
type Options struct {
	// SegmentBytes is the size of a segment, 16 KiB to 1 GiB, a multiple of
	// 4 KiB; 0 = 32 MiB. Two to three segments are kept allocated.
	SegmentBytes int64
	// PendingBytes bounds the bytes appended or reserved and not yet on disk;
	// 0 = 16 MiB. It is capped at the bytes a segment can always take.
	PendingBytes int
	// Sync says when Wait returns; the zero value is Always.
	Sync Mode
	// ListName is the file, outside the log's directory, that lists the segments
	// with durable frames; "" = no list, and lost segments go
	// unnoticed.
	ListName string
	// Keep is how long released segments stay for backups; 0 = not at all.
	Keep time.Duration
	// Clock tells the time of commits and paces retries; nil = the system clock.
	Clock vfs.Clock
	// Logger receives events of background work; nil = they are discarded.
	Logger *slog.Logger
	// Progress is called by Replay with the bytes replayed so far and those
	// found in all generations, from one goroutine at a time; nil = not called.
	Progress func(done, total int64)
}

const (
	defaultSegmentBytes = 32 << 20
	defaultPendingBytes = 16 << 20
)

// Validate returns all mistakes, joined.
func (o Options) Validate() error {
	var errs []error
	if n := o.SegmentBytes; n != 0 && (n < minSegmentBytes || n > maxSegmentBytes || n%4096 != 0) {
		errs = append(errs, fmt.Errorf("segment size %d: want a multiple of 4096 from %d to %d", n, minSegmentBytes, maxSegmentBytes))
	}
	if o.PendingBytes < 0 {
		errs = append(errs, fmt.Errorf("pending bytes %d: want 0 or more", o.PendingBytes))
	}
	if o.Keep < 0 {
		errs = append(errs, fmt.Errorf("keep %v: want 0 or more", o.Keep))
	}
	if o.Sync.kind == modeInterval && o.Sync.every <= 0 {
		errs = append(errs, fmt.Errorf("sync interval %v: want more than 0", o.Sync.every))
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.PendingBytes == 0 {
		o.PendingBytes = defaultPendingBytes
	}
	if o.Clock == nil {
		o.Clock = vfs.SystemClock
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Mode defines when a batch counts as written.
type Mode struct {
	kind  modeKind
	every time.Duration
}

type modeKind uint8

const (
	modeAlways modeKind = iota
	modeInterval
	modeOff
)

// Always and Off are the modes without a parameter.
var (
	// Always: once it is synced to disk. No acknowledged batch is ever lost.
	Always = Mode{}
	// Off: once it is written to the operating system. It survives the end of
	// the process; a power cut loses the data not yet on disk.
	Off = Mode{kind: modeOff}
)

// Interval returns the mode in which a batch counts as written when the
// operating system has it; it is synced to disk at most d later.
func Interval(d time.Duration) Mode { return Mode{kind: modeInterval, every: d} }

// ParseMode reads what Mode.String writes: always, interval=<duration>, off.
func ParseMode(s string) (Mode, error) {
	switch s {
	case "always", "":
		return Always, nil
	case "off":
		return Off, nil
	}
	if text, ok := strings.CutPrefix(s, "interval="); ok {
		if d, err := time.ParseDuration(text); err == nil && d > 0 {
			return Interval(d), nil
		}
	}
	return Mode{}, fmt.Errorf("sync mode %q: want always, off or interval=<duration above 0>", s)
}

func (m Mode) String() string {
	switch m.kind {
	case modeInterval:
		return "interval=" + m.every.String()
	case modeOff:
		return "off"
	}
	return "always"
}
