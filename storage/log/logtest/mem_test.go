package logtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"tsdb/storage/log"
)

func TestMemKeepsTheContract(t *testing.T) {
	TestStore(t, func(*testing.T) log.Store { return NewMem() })
}

func TestFullLogRefusesUntilAReleaseMakesRoom(t *testing.T) {
	ctx := context.Background()
	s := NewMem()
	l := open(t, s, log.Pos{})
	begin, _ := l.Bytes()
	s.SetLimit(begin + int64(log.FrameBytes(4)+log.FrameBytes(0)))
	put(t, l, 0, "full")
	if err := l.Reserve(ctx, log.FrameBytes(4)); !errors.Is(err, log.ErrNoSpace) {
		t.Fatalf("reserve on a full log: %v", err)
	}
	done, err := l.ReserveDelete(ctx, log.FrameBytes(1)) // a delete makes room
	must(t, err)
	l.Append(0, 0, log.FrameTombstone, []byte("x"))
	done()
	gen, _, err := l.Rotate()
	must(t, err)
	must(t, l.Release(gen, 1))
	put(t, l, 0, "room")
}

func TestFailingSyncPoisons(t *testing.T) {
	ctx := context.Background()
	s := NewMem()
	l := open(t, s, log.Pos{})
	gen := l.Generation()
	must(t, l.Wait(ctx, put(t, l, 0, "durable")))
	cause := errors.New("no sync")
	s.FailSync(cause)
	if err := l.Wait(ctx, put(t, l, 0, "lost")); !errors.Is(err, log.ErrPoisoned) || !errors.Is(err, cause) {
		t.Fatalf("wait with a failing sync: %v", err)
	}
	if _, err := scan(t, s).Open(log.Pos{}); !errors.Is(err, cause) {
		t.Fatalf("open with a failing sync: %v", err)
	}
	s.FailSync(nil)
	if got := fmt.Sprint(replayed(t, scan(t, s), gen)[0]); got != "[durable]" {
		t.Errorf("left %s", got)
	}
}

// A scan takes the store from the process that has it open, with the frames that
// were not durable.
func TestScanCutsOffAnOpenLog(t *testing.T) {
	ctx := context.Background()
	s := NewMem()
	l := open(t, s, log.Pos{})
	gen := l.Generation()
	must(t, l.Wait(ctx, put(t, l, 0, "durable")))
	lsn := put(t, l, 0, "lost")
	next := open(t, s, log.Pos{})
	if err := l.Wait(ctx, lsn); !errors.Is(err, log.ErrPoisoned) {
		t.Errorf("wait of the old process: %v", err)
	}
	must(t, next.Wait(ctx, put(t, next, 0, "next")))
	if got := fmt.Sprint(replayed(t, scan(t, s), gen)[0]); got != "[durable]" {
		t.Errorf("the old process left %s", got)
	}
}
