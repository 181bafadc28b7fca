package tlog
