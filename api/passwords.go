package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/common/config"
	"golang.org/x/crypto/bcrypt"
)

// Bounds of the work of checking passwords. A bcrypt comparison takes tens of
// milliseconds of CPU by design. One runs at a time, a bounded number wait, and
// further ones are refused.
const (
	maxPasswordsRemembered = 1000 // right ones, and the same number of wrong ones
	maxLoginsWaiting       = 64
)

// errLoginsBusy is returned when too many unknown credentials are waiting to be
// checked.
var errLoginsBusy = errors.New("too many logins are being checked, try again later")

// passwords compares passwords with bcrypt hashes and caches the results. A
// result depends on hash and password alone, so it stays valid when the
// configuration file changes. It is safe for concurrent use.
type passwords struct {
	slot    chan struct{} // held while a comparison runs
	waiting atomic.Int64

	mu    sync.Mutex
	right map[passwordKey]struct{}
	wrong map[passwordKey]struct{}
}

type passwordKey [sha256.Size]byte

func newPasswords() *passwords {
	return &passwords{slot: make(chan struct{}, 1), right: make(map[passwordKey]struct{}), wrong: make(map[passwordKey]struct{})}
}

// unknownUserHash is compared with the passwords of users that do not exist, so
// that the response time does not reveal which users exist.
var unknownUserHash = sync.OnceValue(func() config.Secret {
	hash, err := bcrypt.GenerateFromPassword([]byte("nobody"), bcrypt.DefaultCost)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return config.Secret(hash)
})

// ofUser reports whether the password is that of the user.
func (p *passwords) ofUser(ctx context.Context, users map[string]config.Secret, name, password string) (bool, error) {
	hash, exists := users[name]
	if !exists {
		hash = unknownUserHash()
	}
	ok, err := p.match(ctx, hash, password)
	return ok && exists, err
}

// ofAny reports whether the password is that of any user.
func (p *passwords) ofAny(ctx context.Context, users map[string]config.Secret, password string) (bool, error) {
	names := make([]string, 0, len(users))
	for name, hash := range users {
		if right, known := p.remembered(keyOf(hash, password)); known && right {
			return true, nil
		}
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if ok, err := p.match(ctx, users[name], password); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func keyOf(hash config.Secret, password string) passwordKey {
	b := append([]byte(hash), 0)
	return sha256.Sum256(append(b, password...))
}

func (p *passwords) match(ctx context.Context, hash config.Secret, password string) (bool, error) {
	key := keyOf(hash, password)
	if right, known := p.remembered(key); known {
		return right, nil
	}
	if p.waiting.Add(1) > maxLoginsWaiting {
		p.waiting.Add(-1)
		return false, errLoginsBusy
	}
	defer p.waiting.Add(-1)
	select {
	case p.slot <- struct{}{}:
		defer func() { <-p.slot }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if right, known := p.remembered(key); known { // another request has checked it meanwhile
		return right, nil
	}
	right := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	p.remember(key, right)
	return right, nil
}

func (p *passwords) remembered(key passwordKey) (right, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.right[key]; ok {
		return true, true
	}
	_, ok := p.wrong[key]
	return false, ok
}

func (p *passwords) remember(key passwordKey, right bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.wrong
	if right {
		m = p.right
	}
	if len(m) >= maxPasswordsRemembered {
		clear(m)
	}
	m[key] = struct{}{}
}
