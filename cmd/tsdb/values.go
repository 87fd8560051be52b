package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"tsdb/storage/wal"
)

// duration is a flag value in Prometheus' notation: 15s, 2m, 1h30m, 30d, 1y. Only
// 0 has no unit.
type duration time.Duration

func (d *duration) String() string { return model.Duration(*d).String() }

func (d *duration) Set(s string) error {
	v, err := model.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 15s, 2m or 30d", s)
	}
	*d = duration(v)
	return nil
}

func (d duration) ms() int64 { return time.Duration(d).Milliseconds() }

// toggle is a flag value that is exactly true or false: yes, on and 1 have
// different meanings in different versions of YAML.
type toggle bool

func (t *toggle) String() string { return strconv.FormatBool(bool(*t)) }

func (t *toggle) Set(s string) error {
	if s != "true" && s != "false" {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	*t = s == "true"
	return nil
}

// IsBoolFlag lets --name alone stand for --name=true.
func (t *toggle) IsBoolFlag() bool { return true }

// size is a flag value in bytes: a number with an optional unit. KiB, MiB and GiB
// are powers of 1,024; KB, MB and GB are powers of 1,000.
type size int64

type sizeUnit struct {
	name  string
	bytes int64
}

var (
	binaryUnits  = []sizeUnit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}
	decimalUnits = []sizeUnit{{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}}
	sizeUnits    = slices.Concat(binaryUnits, decimalUnits, []sizeUnit{{"B", 1}})
)

func (z *size) String() string {
	for _, u := range binaryUnits {
		if n := int64(*z); n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*z), 10)
}

func (z *size) Set(s string) error {
	unit := int64(1)
	number := s
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > 1<<50/unit {
		return fmt.Errorf("%q is not a size such as 16384, 16KiB, 32MiB or 1GB", s)
	}
	*z = size(n * unit)
	return nil
}

// diskShare is a flag value: a size, or a percentage of the file system such as 80%; 0 =
// no bound.
type diskShare struct {
	percent int // if bytes is 0
	bytes   size
}

func (d *diskShare) String() string {
	if d.percent > 0 {
		return strconv.Itoa(d.percent) + "%"
	}
	return d.bytes.String()
}

func (d *diskShare) Set(s string) error {
	if s == "0" {
		*d = diskShare{}
		return nil
	}
	if text, ok := strings.CutSuffix(s, "%"); ok {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return fmt.Errorf("%q is not a percentage of the file system from 1%% to 100%%", s)
		}
		*d = diskShare{percent: n}
		return nil
	}
	var bytes size
	if err := bytes.Set(s); err != nil {
		return fmt.Errorf("%w, nor a percentage of the file system such as 80%%", err)
	}
	*d = diskShare{bytes: bytes}
	return nil
}

// count is a flag value that is an integer of at least 1.
type count int

func (c *count) String() string { return strconv.Itoa(int(*c)) }

func (c *count) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is not an integer of at least 1", s)
	}
	*c = count(n)
	return nil
}

// sizeOrNone is a size, or 0 for no limit.
type sizeOrNone size

func (z *sizeOrNone) String() string { return (*size)(z).String() }

func (z *sizeOrNone) Set(s string) error {
	if s == "0" {
		*z = 0
		return nil
	}
	return (*size)(z).Set(s)
}

// countOrNone is a count, or 0 for no limit.
type countOrNone count

func (c *countOrNone) String() string { return (*count)(c).String() }

func (c *countOrNone) Set(s string) error {
	if s == "0" {
		*c = 0
		return nil
	}
	return (*count)(c).Set(s)
}

// walSync is a flag value: always, off, or interval=DURATION.
type walSync struct{ mode wal.Mode }

func (w *walSync) String() string { return w.mode.String() }

func (w *walSync) Set(s string) error {
	if s == "" {
		return errors.New("want always, off or interval=DURATION")
	}
	mode, err := wal.ParseMode(s)
	if err == nil {
		w.mode = mode
	}
	return err
}

// promise describes the durability of acknowledged samples in this mode.
func (w *walSync) promise() string {
	switch {
	case w.mode == wal.Always:
		return "acknowledged samples are on disk"
	case w.mode == wal.Off:
		return "acknowledged samples that the operating system has not written yet can be lost when the machine fails"
	}
	return "acknowledged samples of the last " + strings.TrimPrefix(w.mode.String(), "interval=") + " can be lost when the machine fails"
}

// choice is a flag value that is one of a few words.
type choice struct {
	value string
	of    []string
}

func (c *choice) String() string { return c.value }

func (c *choice) Set(s string) error {
	for _, o := range c.of {
		if s == o {
			c.value = s
			return nil
		}
	}
	return fmt.Errorf("%q is none of %s", s, strings.Join(c.of, ", "))
}
