package tsa
