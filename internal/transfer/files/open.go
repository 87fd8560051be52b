// Package files reads samples from files of text: JSON lines, CSV, OpenMetrics and
// Prometheus' text format, InfluxDB's line protocol. Files may be compressed with gzip
// or zstd, which their first bytes tell. A file is a unit, and a position is a number
// of decompressed bytes. What cannot be parsed is counted, line by line.
package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Bounds of what is read at once.
const (
	// pieceBytes is the length of a piece: it stays in the caches of a CPU while it is
	// decoded.
	pieceBytes = 512 << 10
	maxLine    = 64 << 20
)

// pieces reads a file in pieces of whole lines.
type pieces struct {
	file   *os.File
	raw    *counter
	closeZ func()
	in     io.Reader // decompressed

	buffer      []byte
	unread, end int   // of the bytes in buffer that have not been returned
	at          int64 // behind the piece that was returned last
	ended       bool  // the file
	maxLine     int   // bytes; longer lines are left out
	skipped     int   // lines that are too long
}

// counter counts the bytes that are read of the file itself.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func open(name string) (_ *pieces, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	l := &pieces{file: f, raw: &counter{r: f}, closeZ: func() {}, buffer: make([]byte, pieceBytes), maxLine: maxLine}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open %s: %w", name, err), f.Close())
		}
	}()
	raw := bufio.NewReaderSize(l.raw, 256<<10)
	head, err := raw.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	l.in = raw
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		if l.in, err = gzip.NewReader(raw); err != nil {
			return nil, err
		}
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, err
		}
		l.in, l.closeZ = z, z.Close
	}
	return l, nil
}

// skip moves to a position, which is behind a line. It passes the lines before it to seen;
// nil = to nothing.
func (l *pieces) skip(to int64, seen func(lines []byte)) error {
	if seen == nil {
		n, err := io.CopyN(io.Discard, l.in, to)
		l.at += n
		if errors.Is(err, io.EOF) {
			l.ended, err = true, nil // the file has become shorter
		}
		return err
	}
	in := l.in
	l.in = io.LimitReader(in, to)
	for {
		lines, err := l.next(nil)
		if errors.Is(err, io.EOF) {
			l.in, l.ended, l.skipped = in, l.at < to, 0
			return nil
		} else if err != nil {
			return err
		}
		seen(lines)
	}
}

// next returns the next whole lines, valid until the next call; the last one may have no
// newline. Unless they are the last, cut returns how many bytes of them to return, so
// that lines which belong together stay together; 0 = all; nil = all. Lines that are too
// long are left out and counted. It returns io.EOF at the end.
func (l *pieces) next(cut func(lines []byte) int) ([]byte, error) {
	l.end = copy(l.buffer, l.buffer[l.unread:l.end])
	l.unread = 0
	skipping := false
	for !l.ended {
		if l.end == len(l.buffer) {
			whole := bytes.LastIndexByte(l.buffer, '\n') + 1
			switch {
			case skipping && whole == 0:
				l.drop(l.end)
			case skipping:
				l.drop(bytes.IndexByte(l.buffer, '\n') + 1)
				skipping = false
			case whole > 0:
				if cut != nil {
					if n := cut(l.buffer[:whole]); n > 0 {
						whole = n
					}
				}
				return l.take(whole), nil
			case l.end > l.maxLine:
				l.drop(l.end)
				l.buffer = make([]byte, pieceBytes)
				l.skipped++
				skipping = true
			default:
				l.buffer = append(l.buffer, make([]byte, len(l.buffer))...)
			}
		}
		n, err := l.in.Read(l.buffer[l.end:])
		l.end += n
		if errors.Is(err, io.EOF) {
			l.ended = true
		} else if err != nil {
			return nil, err
		}
	}
	if skipping {
		if n := bytes.IndexByte(l.buffer[:l.end], '\n') + 1; n > 0 {
			l.drop(n)
		} else {
			l.drop(l.end)
		}
	}
	if l.end == 0 {
		return nil, io.EOF
	}
	return l.take(l.end), nil
}

// take returns the first n bytes of the buffer.
func (l *pieces) take(n int) []byte {
	l.unread = n
	l.at += int64(n)
	return l.buffer[:n]
}

// drop leaves out the first n bytes of the buffer.
func (l *pieces) drop(n int) {
	l.at += int64(n)
	l.end = copy(l.buffer, l.buffer[n:l.end])
}

// done returns the bytes of the file that were read.
func (l *pieces) done() int64 { return l.raw.n }

func (l *pieces) close() error {
	l.closeZ()
	return l.file.Close()
}

// expand returns the files of paths: those in directories too, and the matches of
// patterns.
func expand(paths []string) ([]string, error) {
	var names []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			matches, bad := filepath.Glob(p)
			if bad != nil || len(matches) == 0 {
				return nil, err
			}
			names = append(names, matches...)
			continue
		}
		if !info.IsDir() {
			names = append(names, p)
			continue
		}
		entries, err := os.ReadDir(p)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Type().IsRegular() {
				names = append(names, filepath.Join(p, e.Name()))
			}
		}
	}
	return names, nil
}
