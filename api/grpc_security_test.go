package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

// certificate writes a certificate for 127.0.0.1 and returns a pool that trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, "cert.pem"), cert)
	write(t, filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestGRPCIsGuardedByTheWebConfiguration: the web configuration file applies to
// gRPC: without TLS or the right password only health is answered.
func TestGRPCIsGuardedByTheWebConfiguration(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "web.yml")
	write(t, file, []byte("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\nbasic_auth_users:\n  ann: "+string(hash)+"\n"))
	r, err := NewRPC(prometheus.NewRegistry(), slog.New(slog.DiscardHandler), file)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- r.Serve(l) }()
	call := func(transport credentials.TransportCredentials, authorization ...string) (health, list codes.Code) {
		t.Helper()
		conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(transport))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ctx := t.Context()
		if len(authorization) > 0 {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", authorization[0])
		}
		_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
		health = status.Code(err)
		stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
		if err == nil {
			_ = stream.CloseSend() // Recv has the error
			_, err = stream.Recv()
		}
		return health, status.Code(err)
	}
	basic := func(credentials string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
	}
	secure := credentials.NewTLS(&tls.Config{RootCAs: pool})
	const end = codes.Unknown // io.EOF: the stream was let in and had no questions
	for _, c := range []struct {
		name         string
		transport    credentials.TransportCredentials
		header       []string
		health, list codes.Code
	}{
		{"plain text", insecure.NewCredentials(), []string{basic("ann:secret")}, codes.Unavailable, codes.Unavailable},
		{"no credentials", secure, nil, codes.OK, codes.Unauthenticated},
		{"wrong password", secure, []string{basic("ann:wrong")}, codes.OK, codes.Unauthenticated},
		{"unknown user", secure, []string{basic("nobody:nobody")}, codes.OK, codes.Unauthenticated},
		{"no base64", secure, []string{"Basic !"}, codes.OK, codes.Unauthenticated},
		{"another scheme", secure, []string{"Bearer x"}, codes.OK, codes.Unauthenticated},
		{"right", secure, []string{basic("ann:secret")}, codes.OK, end},
		{"right, as a token", secure, []string{"Bearer secret"}, codes.OK, end},
		{"right again", secure, []string{basic("ann:secret")}, codes.OK, end},
	} {
		if health, list := call(c.transport, c.header...); health != c.health || list != c.list {
			t.Errorf("%s: health %v, list %v, want %v and %v", c.name, health, list, c.health, c.list)
		}
	}
	r.Shutdown(t.Context())
	if err := <-done; err != nil {
		t.Error(err)
	}

	if _, err := NewRPC(prometheus.NewRegistry(), slog.New(slog.DiscardHandler), filepath.Join(dir, "missing.yml")); err == nil {
		t.Error("a missing file is taken")
	}
}
