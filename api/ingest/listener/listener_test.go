package listener

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/internal/await"
	"tsdb/storage"
)

// sink is a door that remembers the lines it was given.
type sink struct {
	mu      sync.Mutex
	batches []string
	fail    func(attempt int) error // nil = never
	calls   int
}

func (s *sink) store(_ context.Context, lines []byte, reply io.Writer) (storage.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.fail != nil {
		if err := s.fail(s.calls); err != nil {
			return storage.Receipt{}, err
		}
	}
	s.batches = append(s.batches, string(lines))
	if strings.Contains(string(lines), "hello") {
		if _, err := io.WriteString(reply, "hi\n"); err != nil {
			return storage.Receipt{}, err
		}
	}
	var r storage.Rejections
	if n := strings.Count(string(lines), "bad"); n > 0 {
		r.Add(storage.ReasonBadValue, "", 0, "it is bad", n)
	}
	return storage.Receipt{Rejected: r.List()}, nil
}

func (s *sink) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.batches, "")
}

// bench is a listener with a sink.
type bench struct {
	t      testing.TB
	l      *Listener
	sink   *sink
	log    *bytes.Buffer
	shared *door.Shared
	reg    *prometheus.Registry
	served sync.WaitGroup
}

func newBench(t testing.TB, edit ...func(*Options)) *bench {
	b := &bench{t: t, sink: &sink{}, log: &bytes.Buffer{}, reg: prometheus.NewRegistry()}
	b.shared = door.NewShared(door.Options{
		Backend: doortest.Backend{Store: doortest.NewMemory()}, Seed: 1, Logger: slog.New(slog.NewTextHandler(b.log, nil)),
	})
	o := Options{Door: "test", Shared: b.shared, Store: b.sink.store, Registerer: b.reg}
	for _, f := range edit {
		f(&o)
	}
	b.l = New(o)
	return b
}

// tcp serves connections and returns a function that opens one.
func (b *bench) tcp() (dial func() net.Conn) {
	ln := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
	b.served.Go(func() {
		if err := b.l.ServeTCP(ln); err != nil {
			b.t.Error(err)
		}
	})
	return func() net.Conn {
		client, server := net.Pipe()
		ln.accepted <- server
		return client
	}
}

// udp serves datagrams, which are sent to the channel.
func (b *bench) udp() chan<- string {
	pc := &datagrams{sent: make(chan string), due: make(chan struct{})}
	b.served.Go(func() {
		if err := b.l.ServeUDP(pc); err != nil {
			b.t.Error(err)
		}
	})
	return pc.sent
}

func (b *bench) stop(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := b.l.Shutdown(ctx)
	b.served.Wait()
	return err
}

// dropped returns the dropped lines as network/reason=count.
func (b *bench) dropped() string {
	families, err := b.reg.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	var all []string
	for _, f := range families {
		if f.GetName() != "tsdb_listener_dropped_lines_total" {
			continue
		}
		for _, m := range f.Metric {
			if v := m.Counter.GetValue(); v > 0 {
				all = append(all, fmt.Sprintf("%s/%s=%v", m.Label[1].GetValue(), m.Label[2].GetValue(), v))
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// value returns the value of a metric without labels of its own.
func (b *bench) value(name string) float64 {
	families, err := b.reg.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.Metric[0].GetGauge().GetValue() + f.Metric[0].GetCounter().GetValue()
		}
	}
	b.t.Fatalf("no metric %s", name)
	return 0
}

// pipes is a net.Listener of connections in memory.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// datagrams is a net.PacketConn in memory. A deadline is taken for past.
type datagrams struct {
	net.PacketConn
	sent chan string
	due  chan struct{}
	once sync.Once
}

func (d *datagrams) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case s := <-d.sent:
		return copy(b, s), &net.UDPAddr{Port: 7}, nil
	case <-d.due:
		return 0, nil, os.ErrDeadlineExceeded
	}
}
func (d *datagrams) SetReadDeadline(time.Time) error { d.once.Do(func() { close(d.due) }); return nil }
func (d *datagrams) Close() error                    { return d.SetReadDeadline(time.Time{}) }

func send(t testing.TB, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func TestLinesOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := b.tcp()()
		for _, part := range []string{"one 1\ntw", "o 2", "\nthree 3\n", "bad\nfo"} {
			send(t, c, part)
		}
		synctest.Wait()
		if got := b.sink.all(); got != "one 1\ntwo 2\nthree 3\nbad\n" {
			t.Errorf("stored %q", got)
		}
		if n := b.value("tsdb_listener_connections"); n != 1 {
			t.Errorf("%v connections", n)
		}
		send(t, c, "ur 4")
		_ = c.Close()
		synctest.Wait()
		if err := b.stop(time.Second); err != nil {
			t.Error(err)
		}
		if d := b.dropped(); d != "tcp/unterminated=1" {
			t.Errorf("dropped %s", d)
		}
		for _, text := range []string{`msg="samples refused" door=test count=1`, "it is bad", "the last line has no newline", "four 4"} {
			if !strings.Contains(b.log.String(), text) {
				t.Errorf("the log does not say %s:\n%s", text, b.log)
			}
		}
		if r := b.shared.Rejected.List(); len(r) != 1 || r[0].Reason != dropUnterminated || r[0].Samples != 1 {
			t.Errorf("recorded: %+v", r)
		}
	})
}

func TestReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := b.tcp()()
		send(t, c, "hello\n")
		got := make([]byte, 3)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "hi\n" {
			t.Errorf("%q, %v", got, err)
		}
		// A client that does not read its reply loses the connection, and no one waits.
		send(t, c, "hello\n")
		time.Sleep(2 * maxReplyTime)
		if _, err := io.WriteString(c, "x\n"); err == nil {
			t.Error("the connection goes on")
		}
		if err := b.stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestLongLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(o *Options) { o.MaxLineBytes = 64 << 10 })
		c := b.tcp()()
		long, fits := strings.Repeat("x", 200<<10), strings.Repeat("y", 60<<10)
		send(t, c, "one\n"+long+"\n"+fits+"\ntwo\n")
		synctest.Wait()
		if got := b.sink.all(); got != "one\n"+fits+"\ntwo\n" {
			t.Errorf("stored %d bytes", len(got))
		}
		if d := b.dropped(); d != "tcp/line_too_long=1" {
			t.Errorf("dropped %s", d)
		}
		if b.shared.Budget.Used() == 0 {
			t.Error("the buffer is not charged")
		}
		for range 10 { // it shrinks
			send(t, c, "three\n")
		}
		synctest.Wait()
		if n := b.shared.Budget.Used(); n != 0 {
			t.Errorf("an idle connection is charged %d bytes", n)
		}
		if err := b.stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

// While storage takes nothing, a connection is not read, and nothing is lost.
func TestConnectionsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.sink.fail = func(attempt int) error {
			if attempt <= 5 {
				return fmt.Errorf("opening: %w", storage.ErrBusy)
			}
			return nil
		}
		c := b.tcp()()
		send(t, c, "one\n")
		written := make(chan struct{})
		go func() {
			send(t, c, "two\n")
			close(written)
		}()
		synctest.Wait()
		select {
		case <-written:
			t.Error("the connection is read")
		default:
		}
		<-written
		synctest.Wait()
		if got := b.sink.all(); got != "one\ntwo\n" || b.sink.calls != 7 {
			t.Errorf("stored %q in %d attempts", got, b.sink.calls)
		}
		if n := b.value("tsdb_listener_retries_total"); n != 5 {
			t.Errorf("%v retries", n)
		}
		if err := b.stop(time.Second); err != nil || b.dropped() != "" {
			t.Error(err, b.dropped())
		}
	})
}

func TestErrorsThatWillNotPass(t *testing.T) {
	for name, fail := range map[string]func(int) error{
		"an error": func(n int) error {
			if n == 1 {
				return errors.New("no")
			}
			return nil
		},
		"a panic": func(n int) error {
			if n == 1 {
				panic("oops")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.sink.fail = fail
				c := b.tcp()()
				send(t, c, "one\n\ntwo\n")
				send(t, c, "three\n")
				synctest.Wait()
				if got := b.sink.all(); got != "three\n" || b.dropped() != "tcp/failed=2" {
					t.Errorf("stored %q, dropped %s", got, b.dropped())
				}
				if err := b.stop(time.Second); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestTooManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(o *Options) { o.MaxConnections = 2 })
		dial := b.tcp()
		first, second, third := dial(), dial(), dial()
		if _, err := third.Read(make([]byte, 1)); err == nil {
			t.Error("the third is not closed")
		}
		_ = first.Close()
		synctest.Wait()
		fourth := dial()
		send(t, fourth, "four\n")
		synctest.Wait()
		send(t, second, "two\n")
		synctest.Wait()
		if got := b.sink.all(); got != "four\ntwo\n" || b.value("tsdb_listener_connections_refused_total") != 1 {
			t.Errorf("stored %q", got)
		}
		time.Sleep(2 * idleTimeout) // idle ones end
		synctest.Wait()
		if n := b.value("tsdb_listener_connections"); n != 0 {
			t.Errorf("%v connections", n)
		}
		if err := b.stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestDatagrams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// An open bracket at the end of a line lets it go on.
		whole := func(b []byte) int { return lastLine(bytes.TrimSuffix(b, []byte("[\n"))) }
		b := newBench(t, func(o *Options) { o.Whole = whole })
		b.sink.fail = func(n int) error {
			if n == 2 { // so that the others collect
				return storage.ErrBusy
			}
			return nil
		}
		to := b.udp()
		to <- "one"
		synctest.Wait()
		to <- "two\n"
		synctest.Wait()
		for _, d := range []string{"three\nbad\n", "", "four[", "five", "six\n"} {
			to <- d
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []string{"one\n", "two\n", "three\nbad\n", "four[\n", "five\nsix\n"}
		if !slices.Equal(b.sink.batches, want) {
			t.Errorf("stored %q, want %q", b.sink.batches, want)
		}
		if err := b.stop(time.Second); err != nil || b.dropped() != "" {
			t.Error(err, b.dropped())
		}
		if n := b.value("tsdb_listener_datagrams_total"); n != 7 {
			t.Errorf("%v datagrams", n)
		}
		if n := b.value("tsdb_listener_queue_bytes"); n != 0 {
			t.Errorf("%v bytes are queued", n)
		}
	})
}

// Datagrams that do not fit into the queue are dropped, counted, recorded and logged now
// and then. A stop stores the others.
func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(o *Options) { o.QueueBytes = 1000 })
		ready := false
		b.sink.fail = func(int) error {
			if !ready {
				return storage.ErrBusy
			}
			return nil
		}
		to := b.udp()
		for i := range 100 {
			to <- fmt.Sprintf("line %02d\nsecond\n", i)
		}
		synctest.Wait()
		b.sink.mu.Lock()
		ready = true
		b.sink.mu.Unlock()
		if err := b.stop(10 * time.Second); err != nil {
			t.Error(err)
		}
		kept := strings.Count(b.sink.all(), "line")
		if d := b.dropped(); kept < 20 || kept > 60 || d != fmt.Sprintf("udp/queue_full=%d", 2*(100-kept)) {
			t.Errorf("%d datagrams are stored, dropped %s", kept, d)
		}
		if n := strings.Count(b.log.String(), "reason=queue_full"); n != 1 {
			t.Errorf("%d messages of a full queue:\n%s", n, b.log)
		}
	})
}

// Datagrams that the kernel drops before they are received are counted, recorded and
// logged.
func TestFullKernelBuffer(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := kernelDrops(pc); !ok {
		pc.Close()
		t.Skip("the system does not tell")
	}
	c, err := net.Dial("udp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const sent = 20_000 // more than the default buffer holds, before the first is received
	for i := range sent {
		send(t, c, fmt.Sprintf("line %05d %0100d\n", i, 0))
	}
	b := newBench(t)
	b.served.Go(func() {
		if err := b.l.ServeUDP(pc); err != nil {
			t.Error(err)
		}
	})
	var received, dropped float64
	await.That(t, "all datagrams are accounted for", func() bool {
		received, dropped = b.value("tsdb_listener_datagrams_total"), b.value("tsdb_listener_kernel_dropped_datagrams_total")
		return received+dropped >= sent
	})
	if err := b.stop(time.Minute); err != nil {
		t.Fatal(err)
	}
	if received == 0 || dropped == 0 || received+dropped != sent || b.dropped() != "" {
		t.Errorf("%v datagrams of %d were received, %v are counted as dropped by the kernel, %s", received, sent, dropped, b.dropped())
	}
	if n := strings.Count(b.log.String(), "reason=kernel_full"); n != 1 {
		t.Errorf("%d messages:\n%s", n, b.log)
	}
	for _, r := range b.shared.Rejected.List() {
		if r.Reason != dropKernelFull || float64(r.Samples) != dropped {
			t.Errorf("recorded %+v", r)
		}
	}
}

// A stop does not wait for ever for a database that takes nothing.
func TestStopWithoutStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.sink.fail = func(int) error { return storage.ErrBusy }
		to, c := b.udp(), b.tcp()()
		to <- "one\n"
		send(t, c, "two\n")
		synctest.Wait()
		begin := time.Now()
		if err := b.stop(time.Minute); err != nil || time.Since(begin) > 30*time.Second {
			t.Error(err, time.Since(begin))
		}
		if d := b.dropped(); d != "tcp/shutdown=1 udp/shutdown=1" {
			t.Errorf("dropped %s", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.sink.fail = func(int) error { return storage.ErrBusy }
		to, c := b.udp(), b.tcp()()
		to <- "one\n"
		send(t, c, "two\n")
		synctest.Wait()
		if err := b.stop(time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || b.dropped() != "tcp/shutdown=1 udp/shutdown=1" {
			t.Error(err, b.dropped())
		}
	})
}

// FuzzConnection sends bytes in parts: the lines that are stored are those sent, in
// their order, without those that are too long.
func FuzzConnection(f *testing.F) {
	f.Add([]byte("one\ntwo\n"), uint8(3))
	f.Add([]byte("\n\n"+strings.Repeat("x", 9000)+"\nend\npart"), uint8(200))
	f.Fuzz(func(t *testing.T, sent []byte, step uint8) {
		if len(sent) > 1<<16 {
			t.Skip()
		}
		const maxLine = 8 << 10
		b := newBench(t, func(o *Options) { o.MaxLineBytes = maxLine })
		x := &conn{l: b.l, c: &parts{b: sent, step: int(step) + 1}, buf: make([]byte, 0, minBufferBytes), charge: b.shared.Budget.NewCharge()}
		x.serve()
		var want []byte
		for line := range bytes.Lines(sent) {
			if len(line) <= maxLine && line[len(line)-1] == '\n' {
				want = append(want, line...)
			}
		}
		if got := b.sink.all(); got != string(want) {
			t.Fatalf("stored %d bytes, want %d: %.80q, %.80q", len(got), len(want), got, want)
		}
	})
}

// parts is a connection that receives bytes in steps.
type parts struct {
	net.Conn
	b    []byte
	step int
}

func (p *parts) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.b[:min(p.step, len(p.b))])
	p.b = p.b[n:]
	return n, nil
}
func (p *parts) SetReadDeadline(time.Time) error { return nil }
