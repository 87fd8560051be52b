// Example writes ten minutes of samples over gRPC and prints a range query over
// them:
//
//	go run ./proto/example -addr localhost:9202
//
// It is what a client of tsdb.v1 has to do, and nothing more.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // for grpc.UseCompressor("gzip")

	tsdbv1 "tsdb/proto/tsdb/v1"
)

func main() {
	addr := flag.String("addr", "localhost:9202", "`address` of the server's gRPC port")
	expr := flag.String("query", `avg by (room) (example_temperature_celsius)`, "PromQL `expression` to print")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	conn, err := grpc.NewClient(*addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	end := time.Now().Truncate(time.Minute)
	start := end.Add(-10 * time.Minute)
	if err := write(ctx, tsdbv1.NewWriteClient(conn), start, end); err != nil {
		log.Fatal("write: ", err)
	}
	if err := printRange(ctx, tsdbv1.NewQueryClient(conn), *expr, start, end, time.Minute); err != nil {
		log.Fatal("query: ", err)
	}
}

// write sends two requests, one a room, without waiting in between, and then
// waits for both answers: what has been answered is on disk.
func write(ctx context.Context, client tsdbv1.WriteClient, start, end time.Time) error {
	stream, err := client.Write(ctx)
	if err != nil {
		return err
	}
	rooms := []string{"kitchen", "cellar"}
	for i, room := range rooms {
		s := &tsdbv1.SeriesSamples{Labels: []*tsdbv1.Label{
			{Name: "__name__", Value: "example_temperature_celsius"},
			{Name: "room", Value: room},
		}}
		for t := start; !t.After(end); t = t.Add(15 * time.Second) {
			s.TimesMs = append(s.TimesMs, t.UnixMilli())
			s.Values = append(s.Values, 20-5*float64(i)+math.Sin(float64(t.Unix())/300))
		}
		// The error of Send only says that the stream has ended; Recv says why.
		if err := stream.Send(&tsdbv1.WriteRequest{Sequence: uint64(i + 1), Series: []*tsdbv1.SeriesSamples{s}}); err != nil {
			break
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for range rooms {
		answer, err := stream.Recv()
		if err != nil {
			return err
		}
		fmt.Printf("request %d is on disk: %d samples\n", answer.Sequence, answer.Floats)
		for _, r := range answer.Rejected {
			fmt.Printf("  refused %d (%s): %s\n", r.Count, r.Reason, r.Example)
		}
	}
	return nil
}

// printRange prints an answer as it comes: the label sets first, then samples
// that name them by their index, then the end. Without an end it is incomplete.
func printRange(ctx context.Context, client tsdbv1.QueryClient, expr string, start, end time.Time, step time.Duration) error {
	stream, err := client.QueryRange(ctx, &tsdbv1.QueryRangeRequest{
		Query: expr, StartMs: start.UnixMilli(), EndMs: end.UnixMilli(), StepMs: step.Milliseconds(),
	}, grpc.UseCompressor("gzip"))
	if err != nil {
		return err
	}
	var series []string
	for {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		switch f := frame.Frame.(type) {
		case *tsdbv1.QueryResponse_Series:
			for _, s := range f.Series.Series {
				series = append(series, text(s))
			}
		case *tsdbv1.QueryResponse_Samples:
			for _, c := range f.Samples.Columns {
				for i, v := range c.Values {
					fmt.Printf("%s %s %.3f\n", series[c.SeriesIndex], time.UnixMilli(c.TimesMs[i]).UTC().Format(time.TimeOnly), v)
				}
			}
		case *tsdbv1.QueryResponse_End:
			for _, w := range append(f.End.Warnings, f.End.Infos...) {
				fmt.Println("note:", w)
			}
			fmt.Printf("%d series, %d points, %d samples read\n", f.End.Stats.Series, f.End.Stats.Samples, f.End.Stats.SamplesRead)
			return nil
		}
	}
}

func text(s *tsdbv1.Series) string {
	t := "{"
	for i, l := range s.Labels {
		if i > 0 {
			t += ", "
		}
		t += fmt.Sprintf("%s=%q", l.Name, l.Value)
	}
	return t + "}"
}
