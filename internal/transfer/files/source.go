package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tsdb/internal/transfer"
	"tsdb/storage"
)

// Options say how files are read.
type Options struct {
	// CSV describes the columns, as VictoriaMetrics' format parameter does, or is
	// ExportedCSV.
	CSV string
	// Precision is that of the times of line protocol, such as ns or s.
	Precision string
	// DB and DBLabel add a label to the series of line protocol: the name of the
	// database that they come from. Empty = none.
	DB, DBLabel string
	Now         time.Time // the time of lines without one
}

// Kinds are the kinds of files.
var Kinds = []string{"lines", "csv", "openmetrics", "text", "influx"}

// parser turns lines into series.
type parser interface {
	// parse adds whole lines to a batch, and retains none of them.
	parse(ctx context.Context, lines []byte, out *batch) error
	// cut returns the function that pieces.next takes, seen that of pieces.skip.
	cut() func(lines []byte) int
	seen() func(lines []byte)
}

// Source reads files of one kind.
type Source struct {
	names  []string
	parser parser
}

// Open returns a source of files, directories of files, and patterns.
func Open(kind string, paths []string, o Options) (*Source, error) {
	s := &Source{}
	var err error
	switch kind {
	case "lines":
		s.parser = &jsonParser{}
	case "csv", "openmetrics", "text", "influx":
		if kind == "csv" && o.CSV == ExportedCSV {
			s.parser = &exportedParser{}
			break
		}
		s.parser, err = newDoorParser(kind, o)
	default:
		err = fmt.Errorf("unknown kind of file %q", kind)
	}
	if err != nil {
		return nil, err
	}
	if s.names, err = expand(paths); err != nil {
		return nil, err
	}
	return s, nil
}

// Plan implements transfer.Source.
func (s *Source) Plan(context.Context) (*transfer.Plan, error) {
	p := &transfer.Plan{Min: 1, Max: 0}
	for _, name := range s.names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		abs, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		p.Units = append(p.Units, transfer.Unit{
			ID:   fmt.Sprintf("%s %d %d", abs, info.Size(), info.ModTime().UnixNano()),
			Name: name, Size: info.Size(),
		})
	}
	return p, nil
}

// Read implements transfer.Source.
func (s *Source) Read(ctx context.Context, u transfer.Unit, from int64, emit transfer.Emit) error {
	in, err := open(u.Name)
	if err != nil {
		return err
	}
	defer in.close()
	if err := in.skip(from, s.parser.seen()); err != nil {
		return err
	}
	out := newBatch(from)
	for {
		b, err := in.next(s.parser.cut())
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("at byte %d: %w", in.at, err)
		}
		if err := s.parser.parse(ctx, b, out); err != nil {
			return fmt.Errorf("the %d bytes up to byte %d: %w", len(b), in.at, err)
		}
		if out.bytes += len(b); out.full() {
			if err := s.send(ctx, in, out, emit); err != nil {
				return err
			}
		}
	}
	return s.send(ctx, in, out, emit)
}

// send emits a batch.
func (s *Source) send(ctx context.Context, in *pieces, out *batch, emit transfer.Emit) error {
	if in.skipped > 0 {
		out.refuse(storage.ReasonLimit, "", fmt.Sprintf("line of more than %d MiB", maxLine>>20), in.skipped)
		in.skipped = 0
	}
	return out.emit(ctx, in.at, in.done(), emit)
}

// Close implements transfer.Source.
func (s *Source) Close() error { return nil }

// trimEnd returns a line without its newline.
func trimEnd(line []byte) []byte {
	for n := len(line); n > 0 && (line[n-1] == '\n' || line[n-1] == '\r'); n-- {
		line = line[:n-1]
	}
	return line
}

// excerpt returns the beginning of a line for a message.
func excerpt(b []byte) string {
	const maxBytes = 120
	if len(b) > maxBytes {
		return strings.ToValidUTF8(string(b[:maxBytes]), "") + "…"
	}
	return strings.ToValidUTF8(string(b), "")
}
