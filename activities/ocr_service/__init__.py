"""OCR on Ray Serve: the deployment that reads pages, and the activity's side of it.

Nothing here imports Ray but `deployment` and `service`, which only workers of the GPU queue load.
"""
